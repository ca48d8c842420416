package format

var nodeOptimizationCanonical = Target{
	Name: Canonical, Purposes: []string{NodeOptimization},
	Reader: anyTool,
	Shape:  "one record a node run, with every key: the prompt template and its variables, unrendered; what came out; the verdict; the cost",
	Rules: []string{
		"`template_id` is the same for the same template, so that results group by prompt version",
		"`reference` and `downstream` are those of the run; `feedback` is that on the node, else that on the run",
	},
	Formats: anyFormat, sortedBy: []string{"started_at", "run_id", "node_run_id"}, make: newOptimizationCanonical,
}

// newOptimizationCanonical returns what writes a node run as it is in the history.
//
//   - node.version is the node run's app_version.
//   - template_id are the first 16 hexadecimal digits of the SHA-256 of the template, null where there is none.
//   - output is a text, see texts.output.
//   - scores are those that an optimizer takes, by name: "score", and "rating" as 1.0 for thumbsUp and 0.0 for thumbsDown.
func newOptimizationCanonical(purpose string, _ *options) Formatter {
	f := newRecords(purpose, Needs{})
	f.fields = newObject(
		f.idField(),
		runIDField,
		nodeRunIDField,
		nodeNameField,
		promptTemplateField,
		plain(column{Name: "template_id", Dictionary: true}, func(dst []byte, r *Row) []byte {
			return appendTemplateID(dst, r.Node.PromptTemplate)
		}),
		variablesField,
		messagesField,
		text(column{Name: "output", Long: true}, f.output),
		referenceField,
		newScoresField(),
		judgementField,
		modelField,
		parametersField,
		usageField,
		costField,
		latencyField,
		failureField,
		chunksField,
		required(nested("downstream", func(r *Row) *Row { return r }, // what became of the run that the node run was part of
			text(column{Name: "status", Dictionary: true}, func(r *Row) []byte { return r.Status }),
			text(column{Name: "answer", Long: true}, func(r *Row) []byte { return r.Answer }),
		)),
		startedAtField,
	)
	return f
}
