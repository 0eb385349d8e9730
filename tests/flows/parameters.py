"""Parameters of each type, given and not given, one evaluated at start, one named unlike its attribute."""

from metaflow import FlowSpec, JSONType, Parameter, current, step


def computed(context):
    return "%s by %s" % (context.flow_name, context.user_name)


class ParametersFlow(FlowSpec):
    text = Parameter("text", default="plain", help="some text")
    learning_rate = Parameter("learning-rate", default=0.25)
    count = Parameter("count", default=3, type=int)
    flag = Parameter("flag", default=False, type=bool)
    off = Parameter("off", default=True)
    document = Parameter("document", type=JSONType, default='{"a": [1, 2]}')
    words = Parameter("words", default="a,b,c", separator=",")
    made = Parameter("made", default=computed)
    must = Parameter("must", required=True)
    absent = Parameter("absent", default=None, type=int)
    id = Parameter("id", default="default id")

    @step
    def start(self):
        self.names = sorted(current.parameter_names)
        self.summary = [self.text, self.learning_rate, self.count, self.flag, self.off, self.document, self.words]
        self.next(self.end)

    @step
    def end(self):
        assert self.made == "ParametersFlow by " + current.username
        assert self.must


if __name__ == "__main__":
    ParametersFlow()
