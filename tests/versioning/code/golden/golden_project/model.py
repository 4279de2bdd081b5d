"""Classes without bases outside the language."""


class Scaler:
    """Scales."""

    factor = 2
    __slots__ = ("seen",)

    def __call__(self, x):
        self.seen = x
        return [value * self.factor for value in x]


class Signed(Scaler):
    factor = -2

    @property
    def last(self):
        return self.seen

    @staticmethod
    def zero():
        return 0

    @classmethod
    def made(cls):
        return cls()


class Ridge:
    kinds: dict = {"plain": Scaler}

    def __init__(self, scaler, strength: float = 1.0):
        self.scaler = scaler
        self.strength = strength

    def fit(self, x):
        return [value / self.strength for value in self.scaler(x)]
