"""`python -m zhengtong`."""

from zhengtong.cli import main

main()
