package sample

// app is a copilot or a recipe.
type app struct {
	source, id, name string
	uri              string // CloudEvents source
	triggers         []string
	sessions         int  // sessions open at a time; 0: its runs have no session
	chats            bool // its runs have messages, starting with version chatsFrom
	chatsFrom        int
	versions         []version
	system           []string // system messages, by version.prompt
	tools            string   // tool definitions, a JSON array, or ""
	toolsFrom        int      // the first version that has tools
	topics           []topic
	hard             []topic     // oddTopics of its regression sets; nil: none
	earlier          [][2]string // earlier turns of a conversation: user, assistant
	nodes            []*node
	long             longPlace
	document         func(r *run)                       // renders the document that a run processes; nil: none
	inputFiles       []fileType                         // files that a user may attach
	outputFile       fileType                           // the file that a run produces; without a name: none
	inputs           func(d *doc, r *run, swapped bool) // swapped: the same members in another order
	systemInputs     func(d *doc, r *run)
	outputs          func(d *doc, r *run)
}

// longPlace is the field that holds the rare long texts of an app.
type longPlace uint8

const (
	longQuestion longPlace = iota
	longLookup             // the result of a tool call, if the topic has one
	longPassage
	longDocument
)

// version is a released version of an app. skill is the average quality of its answers, out of
// 1,000.
type version struct {
	name, model string
	prompt      int // index of the system message, and of the template of each node
	skill       int
	since       uint64 // number of the first run of a workspace that may use it
	inputPrice  int    // micro-dollars a thousand tokens
	outputPrice int
}

// node is a step of an app. inputs and outputs write the members of the objects of those names.
type node struct {
	id, name, kind string
	from           int      // the first version that has this node
	templates      []string // prompt templates, by version.prompt
	tool           bool     // runs only if the topic calls it, as a child of the agent before it
	inputs         func(d *doc, r *run, n *nodeRun)
	outputs        func(d *doc, r *run, n *nodeRun)
	modelOutput    func(d *doc, r *run, n *nodeRun) // writes the model's JSON output; nil: its output is the answer
	files          bool                             // works on the run's files
}

// topic is a question with its possible answers. The right answer is core and detail. An incomplete
// answer is the core alone. wrong is the answer of a bad version. Texts contain {names}, see
// input.appendSlot.
type topic struct {
	lang, intent        string
	q                   string
	core, detail, wrong string
	title, passage      string // the passage that retrieval finds
	calls               []call
	category            string // of an invoice, whose intent is the right decision
}

// call is a tool call of a topic: a tool node, its arguments and its result as JSON with {names}.
type call struct {
	node         *node
	args, result string
}

// apps lists all apps. rotation has indexes into it.
var apps = [...]*app{&airline, &hr, &invoice, &knowledge}

// rotation is the order in which the apps of a workspace take turns. Of ten runs, the apps get 3,
// 2, 2 and 3, and each app has one of the first four.
var rotation = [...]uint8{0, 3, 1, 2, 0, 3, 1, 0, 2, 3}
