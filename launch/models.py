"""Lists the models that come with the package.

Of each the version, the architecture, the size, what it was trained on, and how good it is.
"""

from . import program


def main() -> int:
    from spotrust_jax.command_line.model_list import list_models

    print(list_models())
    return 0


def run() -> None:
    program.run(main)


if __name__ == "__main__":
    run()
