"""@project: its options travel to each task and its tags to each object."""

from metaflow import FlowSpec, current, project, step


@project(name="ferro_test")
class ProjectFlow(FlowSpec):
    @step
    def start(self):
        self.project = [
            current.project_name,
            current.branch_name,
            current.project_flow_name,
            current.is_production,
            current.is_user_branch,
        ]
        self.next(self.end)

    @step
    def end(self):
        print(self.project)


if __name__ == "__main__":
    ProjectFlow()
