"""How hard a password is to find from its hash."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2id(Argon2PasswordHasher):
    """Argon2id beyond OWASP's least (19 MiB, 2 passes, 1 lane). One core takes about a tenth of a second for a hash.

    One by other parameters is written anew when its owner signs in.
    """

    time_cost = 3
    memory_cost = 32 * 1024  # KiB
    parallelism = 1  # more lanes would only help a machine with idle cores, such as a guesser's
