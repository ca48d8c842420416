package sample

// app is a copilot or a recipe.
type app struct {
	source, id, name string
	uri              string // CloudEvents source
	triggers         []string
	sessions         int  // sessions open at a time; 0: its runs have none
	chats            bool // its runs have messages, from version chatsFrom on
	chatsFrom        int
	versions         []version
	system           []string // system messages, by version.prompt
	tools            string   // tool definitions, a JSON array, or ""
	toolsFrom        int      // the first version that has them
	topics           []topic
	hard             []topic     // its share of oddTopics: in every regression set; nil: it never meets any
	earlier          [][2]string // earlier turns of a conversation: user, assistant
	nodes            []*node
	long             longPlace
	document         func(r *run)                       // renders the document that a run is about; nil: none
	inputFiles       []fileType                         // what may be attached
	outputFile       fileType                           // what a run makes; no name: nothing
	inputs           func(d *doc, r *run, swapped bool) // swapped: the same members in another order
	systemInputs     func(d *doc, r *run)
	outputs          func(d *doc, r *run)
}

// longPlace is where an app's rare long texts stand.
type longPlace uint8

const (
	longQuestion longPlace = iota
	longLookup             // the result of a tool call, where the topic has one
	longPassage
	longDocument
)

// version is a released version of an app. Skill, out of 1,000, is how well it answers on average.
type version struct {
	name, model string
	prompt      int // which system message and which template of each node
	skill       int
	since       uint64 // the first run of a workspace that may have it
	inputPrice  int    // micro-dollars a thousand tokens
	outputPrice int
}

// node is a step of an app. inputs and outputs write the members of the objects of those names.
type node struct {
	id, name, kind string
	from           int      // the first version that has it
	templates      []string // prompt templates, by version.prompt
	tool           bool     // runs only where the topic calls it, as a child of the agent before it
	inputs         func(d *doc, r *run, n *nodeRun)
	outputs        func(d *doc, r *run, n *nodeRun)
	says           func(d *doc, r *run, n *nodeRun) // members of the JSON that the model said; nil: it said the answer
	files          bool                             // works on the run's files
}

// topic is a question with its truth. Texts contain {names}, see input.appendSlot. The right answer
// is core and detail; an incomplete one is the core alone; wrong is what a bad version says.
type topic struct {
	lang, intent        string
	q                   string
	core, detail, wrong string
	title, passage      string // what retrieval finds
	calls               []call
	category            string // of an invoice; its intent is the right decision
}

// call is a tool call of a topic: a tool node, its arguments and its result as JSON with {names}.
type call struct {
	node         *node
	args, result string
}

// apps in the order that rotation refers to.
var apps = [...]*app{&airline, &hr, &invoice, &knowledge}

// rotation gives each app its share of a workspace's runs: 3, 2, 2 and 3 in ten, and each an early
// start.
var rotation = [...]uint8{0, 3, 1, 2, 0, 3, 1, 0, 2, 3}
