"""Distillation: how each method splits a teacher's classes, the students, and the choice of hyper-parameters."""
