"""Each of the 62 attacks, on one running stack."""

import pytest

pytest.register_assert_rewrite("tests.security.attacks.attack")
