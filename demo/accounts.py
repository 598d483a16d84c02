"""Who may open the page: accounts from a file of lines user:password."""

from __future__ import annotations

import hashlib
import hmac
import logging
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

logger = logging.getLogger(__name__)


def read(path: Path) -> dict[str, str]:
    """Return the passwords by user. Empty lines and lines that start with # do not count.

    Warns when other users of the computer can read the file.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not user:password, a user is there twice, or there is none. The
            message names the line by its number and never shows it.
    """
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        logger.warning("%s can be read by others; run: chmod 600 %s", path, path)
    accounts: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        user, _, password = (part.strip() for part in line.partition(":"))
        if not user or not password:
            raise ValueError(f"{path}, line {number}: expected user:password")
        if user in accounts:
            raise ValueError(f"{path}, line {number}: this user has a line already; keep one")
        accounts[user] = password
    if not accounts:
        raise ValueError(f"{path} names no account; write a line user:password")
    return accounts


def check(accounts: Mapping[str, str]) -> Callable[[str, str], bool]:
    """Return what tells whether a user and a password belong together, for ``launch(auth=...)``.

    It takes as long for a wrong user as for a wrong password, however much of that is right: hashes
    of one length are compared.
    """

    def matches(user: str, password: str) -> bool:
        same = hmac.compare_digest(_digest(accounts.get(user, "")), _digest(password.strip()))
        return same and user in accounts

    return matches


def _digest(password: str) -> bytes:
    return hashlib.sha256(password.encode("utf-8", "surrogatepass")).digest()
