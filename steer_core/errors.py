"""The one exception type that means "the input was wrong", as opposed to a bug of ours."""


class UserError(ValueError):
    """Input that cannot be used.

    The message is one line that names the value, the limit it broke and the next move. Commands
    print it and exit with status 2; the page shows it as a message.
    """
