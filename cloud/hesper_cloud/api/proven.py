"""What a body carries where a person must prove who they are once more."""

from pydantic import BaseModel, SecretStr

from hesper_cloud.accounts.factors import Proof


class Proven(BaseModel):
    """The person's own password, and a code where the account has a second factor."""

    password: SecretStr = SecretStr("")
    code: SecretStr = SecretStr("")

    @property
    def proof(self) -> Proof:
        """What is sealed to the authority."""
        return Proof(self.password.get_secret_value(), self.code.get_secret_value())
