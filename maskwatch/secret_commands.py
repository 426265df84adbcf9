"""`maskwatch secrets`: what an installation on servers must not tell, made as files, and told to its Kafka."""

from pathlib import Path

import click

from maskwatch.lazy import call
from maskwatch.settings import Settings


@click.group(short_help="Make passwords and certificates for servers.")
def secrets() -> None:
    """Make what an installation on servers must not tell, and tell Kafka who may do what."""


@secrets.command("make", short_help="Make the files that are missing.")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--cluster", is_flag=True, help="For three brokers: identities, and users of Kafka, Redis and S3.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="A name of the front door; repeatable.")
def make(folder: Path, hosts: tuple[str, ...], *, cluster: bool) -> None:
    """Make certificates, users and tokens in FOLDER; what is there stays.

    Example: maskwatch secrets make compose/secrets --cluster --host masks.example.org
    """
    target = "maskwatch.secret_files:make_cluster" if cluster else "maskwatch.secret_files:make_server"
    made = call(target, folder, hosts)
    click.echo(f"{folder}: {', '.join(made)} made" if made else f"{folder}: nothing was missing")


@secrets.command("grant", short_help="Tell Kafka the users, and what each may do.")
@click.argument("users", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def grant(settings: Settings, users: Path) -> None:
    """Make the users of the file USERS in Kafka, with the rights of their roles.

    Example: maskwatch secrets grant compose/secrets/users.toml

    A user who is there gets the password of the file; nobody loses a right.
    """
    call("maskwatch.granting:command", settings, users)
