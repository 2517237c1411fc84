"""What a user can mend is one line and a status; a fault of the program is told in full."""

import errno
import os

import pytest
import torch

from hidden_structure.frame.errors import InputError, about, one_line_errors


def raising(error: BaseException):
    @one_line_errors
    def main() -> None:
        raise error

    return main


def os_error(number: int, *file: str) -> OSError:
    return OSError(number, os.strerror(number), *file)


@pytest.mark.parametrize(
    ("error", "said", "unsaid"),
    [
        (InputError("a\n b"), "error: a b", "params"),
        (os_error(errno.ENOSPC, "a.npz"), "error: a.npz: No space left on device: free some space", "params.yaml"),
        (os_error(errno.EACCES, "a.npz"), "error: a.npz: Permission denied: give yourself the right", "free"),
        (os_error(errno.EROFS, "a.npz"), "error: a.npz: Read-only file system: give yourself", "free"),
        (os_error(errno.EIO), "error: Input/output error: ", "free"),
        (OSError("odd"), "error: odd: ", "free"),
        (os_error(errno.ENOMEM), "error: memory is short (", "space"),
        (MemoryError("Unable to allocate 3 TiB"), "lower the sizes in params.yaml", "space"),
        (torch.OutOfMemoryError("CUDA out of memory.\nTried"), "error: memory is short (CUDA out", "space"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), "lower the sizes", "space"),
    ],
    ids=str,
)
def test_what_the_machine_lacks_is_said_in_its_own_words(error, said, unsaid):
    with pytest.raises(SystemExit) as stopped:
        raising(error)()
    assert said in stopped.value.code
    assert unsaid not in stopped.value.code
    assert "\n" not in stopped.value.code


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA error: an illegal memory access"), ValueError("3"), KeyError("a")]
)
def test_a_fault_of_the_program_is_not_hidden(error):
    with pytest.raises(type(error)):
        raising(error)()


def test_ctrl_c_is_one_line_and_status_130(capsys):
    with pytest.raises(SystemExit) as stopped:
        raising(KeyboardInterrupt())()
    assert stopped.value.code == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_an_error_says_what_it_is_about_and_another_kind_of_error_is_left_alone():
    with pytest.raises(InputError, match=r"^spawn: trunk 3: lower lr$"), about("spawn"), about("trunk 3"):
        raise InputError("lower lr")
    with pytest.raises(ValueError, match=r"^lower lr$"), about("spawn"):
        raise ValueError("lower lr")
