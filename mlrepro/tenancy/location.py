"""Code locations: where a tenant's definitions come from."""

from pydantic import Field, model_validator

from mlrepro.tenancy.fields import GitRef, Image, Module, Part, Port, ServiceName


class CodeLocation(Part):
    """One code location.

    Attributes:
        name: Its name in Dagster, and the name of its code server.
        module: Python module that holds the definitions, in the environment or image that all share.
        bundle: Whether its code is what `mlrepro push` pushed; module and image are left out, or the image has the
            libraries alone.
        image: Image with the code in it, instead of a module.
        args: How the image's code server is told what to load. Without them the image's own command must start it.
        working_directory: Folder that the module is imported from, on a single machine.
        git_ref: Branch, tag or commit that the code was taken from; shown with its runs.
        host: Where the code server of an image or of bundles answers on a single machine. Default: the location's
            name, and of bundles this machine.
        port: Port of the code server.
    """

    name: ServiceName = Field(description="Its name in Dagster, and of its code server.")
    module: Module | None = Field(default=None, description="Python module with the definitions.")
    bundle: bool = Field(
        default=False, description="Its code is what `mlrepro push` pushed; an image has the libraries alone."
    )
    image: Image | None = Field(default=None, description="Image with the code in it, instead of a module.")
    args: list[str] = Field(
        default=[], description="What the image's code server loads, such as [-m, team.definitions]."
    )
    working_directory: str | None = Field(default=None, description="Folder the module is imported from.")
    git_ref: GitRef | None = Field(default=None, description="Branch, tag or commit of the code.")
    host: str | None = Field(default=None, min_length=1, description="Host of its code server, on one machine.")
    port: Port = Field(default=4000, description="Port of the code server.")

    @model_validator(mode="after")
    def _one_source(self) -> "CodeLocation":
        if self.bundle:
            if self.module is not None or self.args:
                raise ValueError("says bundle: leave module and args out, each push says what to load")
            return self
        if self.module is None and self.image is None:
            raise ValueError("says none of module, image and bundle: write the one that holds the definitions")
        if self.module is not None and self.image is not None:
            raise ValueError("says both module and image: keep one, and give an image its module by args: [-m, ...]")
        if self.image is None and self.args:
            raise ValueError("args belong to an image: leave them out, the module says what to load")
        return self
