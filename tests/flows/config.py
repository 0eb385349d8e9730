"""Config: from a file, from a value, used in a decorator and as a parameter's default."""

import os

from metaflow import Config, FlowSpec, Parameter, config_expr, environment, step


class ConfigFlow(FlowSpec):
    settings = Config("settings", default="data/config.json")
    inline = Config("inline", default_value={"rate": 0.5})
    plain = Config("plain", default_value="just text", parser=lambda text: {"text": text})
    depth = Parameter("depth", default=config_expr("settings.model.depth"), type=int)

    @environment(vars={"FROM_CONFIG": config_expr("settings.env.FROM_CONFIG")})
    @step
    def start(self):
        self.variable = os.environ["FROM_CONFIG"]
        self.rate = self.inline.rate
        self.names = list(self.settings.model.names)
        self.next(self.end)

    @step
    def end(self):
        assert self.variable == "yes"
        assert self.plain.text == "just text"
        print("depth", self.depth, "rate", self.rate)


if __name__ == "__main__":
    ConfigFlow()
