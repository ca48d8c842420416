package evaluation

import (
	"maps"
	"strconv"

	"github.com/millrace/millrace/pipeline/export/format"
	"github.com/millrace/millrace/pipeline/export/format/record"
	"github.com/millrace/millrace/pipeline/jsonscan"
	"github.com/millrace/millrace/sinks/fragment"
)

// KariniCSV is the name of the target whose columns depend on the selection: see [KariniOptions].
const KariniCSV = "karini_csv"

// KariniOptions returns the options of a request, completed by options that depend on the
// selection: the names of prompt variables, and the types of nodes, of the selected node runs.
// Options of the request are kept.
func KariniOptions(values map[string]any, variables, types []string) map[string]any {
	all := maps.Clone(values)
	if all == nil {
		all = map[string]any{}
	}
	if _, given := all["variables"]; !given {
		list := make([]any, 0, len(variables))
		for _, name := range variables {
			if name != "" {
				list = append(list, name)
			}
		}
		all["variables"] = list
	}
	if _, given := all["agent"]; !given {
		all["agent"] = len(types) == 1 && types[0] == "agent"
	}
	return all
}

const kariniReader = "[Karini AI](https://www.karini.ai), upload of an evaluation data set"

var (
	// RecipeKarini is target karini_csv of recipe_evaluation.
	RecipeKarini = format.Target{
		Name: KariniCSV, Purposes: []string{format.RecipeEvaluation},
		Reader:  kariniReader,
		Shape:   "two columns: `question, ground_truth`",
		Rules:   []string{"no cell is empty", "`ground_truth` is the reference, or else the corrected answer"},
		Drops:   []format.Drop{dropNoQuestion, dropNoReference},
		Formats: []string{fragment.CSV}, Make: newKarini,
	}
	// NodeKarini is target karini_csv of node_evaluation.
	NodeKarini = format.Target{
		Name: KariniCSV, Purposes: []string{format.NodeEvaluation},
		Reader: kariniReader,
		Shape:  "columns `input` (`agent_input` for an agent node), `ground_truth`, and one for each prompt variable",
		Rules: []string{
			"input and ground truth are never empty; a variable that a node run lacks is an empty cell, one that is no text " +
				"is JSON",
			"names of columns have up to 60 characters; of names that are the same after cutting, the later ones end in `_2`, " +
				"`_3`, …",
		},
		Options: []format.Option{
			{Name: "variables", Kind: format.Names,
				Text: "a list of the prompt variables that get a column; default: those of the selection"},
			{Name: "agent", Kind: format.Flag,
				Text: "`true`: the first column is `agent_input`; default: whether the selection is one of agent " +
					"nodes"},
		},
		Drops:   []format.Drop{dropNoQuestion, dropNoReference},
		Formats: []string{fragment.CSV}, Make: newKarini,
	}
)

// maxKariniName is the largest number of characters of the name of a column.
const maxKariniName = 60

// karini writes what Karini's evaluation reads. A CSV file needs its columns before the first row,
// but variables depend on the rows. So the option variables names them. Without the option, there
// are no columns of variables.
type karini struct {
	*formatter
	columns []fragment.Column
	keys    [][]byte       // of the columns, with the separator: `,"ground_truth":`
	places  map[string]int // index in values, by name of the variable
	values  [][]byte       // of the current row; nil if absent
}

func newKarini(purpose string, o *format.Options) format.Formatter {
	f := &karini{places: map[string]int{}}
	f.formatter = newFormatter(purpose, KariniCSV, record.NoNodes, f.append)
	first := "question"
	var variables []string
	if purpose == format.NodeEvaluation {
		variables = variableNames(o)
		first = "input"
		if o.Boolean("agent", false) {
			first = "agent_input"
		}
	}
	f.column(first, true)
	f.column("ground_truth", true)
	taken := map[string]bool{first: true, "ground_truth": true}
	for i, name := range variables {
		f.places[name] = i
		f.column(uniqueName(name, taken), false)
	}
	f.values = make([][]byte, len(variables))
	return f
}

// variableNames returns the option variables.
func variableNames(o *format.Options) (names []string) {
	value, given := o.Values["variables"]
	if !given {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		o.Fail(`option "variables" must be a list of names of prompt variables`)
		return nil
	}
	seen := map[string]bool{}
	for i, entry := range list {
		name, ok := entry.(string)
		switch {
		case !ok || name == "":
			o.Fail(`option "variables" must be a list of names of prompt variables: entry %d is none`, i)
		case seen[name]:
			o.Fail(`option "variables" has %.100q twice`, name)
		}
		seen[name] = true
		names = append(names, name)
	}
	return names
}

// uniqueName shortens a name to maxKariniName, and makes it different from the names that are
// already used.
func uniqueName(name string, taken map[string]bool) string {
	cut := firstRunes(name, maxKariniName)
	for n := 2; taken[cut]; n++ {
		end := "_" + strconv.Itoa(n)
		cut = firstRunes(name, maxKariniName-len(end)) + end
	}
	taken[cut] = true
	return cut
}

// firstRunes returns the first n characters of a text.
func firstRunes(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}

func (f *karini) column(name string, required bool) {
	f.columns = append(f.columns, fragment.Column{Name: name, Required: required, Long: true})
	key := []byte{'{'}
	if len(f.keys) > 0 {
		key[0] = ','
	}
	f.keys = append(f.keys, append(jsonscan.AppendString(key, []byte(name)), ':'))
}

// Columns implements [format.Formatter].
func (f *karini) Columns() []fragment.Column { return f.columns }

func (f *karini) append(_ *formatter, dst []byte, row *record.Row) (out []byte, drop string) {
	reference := record.ExpectedText(row)
	if reference == nil {
		return dst, dropNoReference.Reason
	}
	input := f.Input(row)
	if len(input) == 0 {
		return dst, dropNoQuestion.Reason
	}
	out = append(dst, f.keys[0]...)
	out = jsonscan.AppendString(out, input)
	out = append(out, f.keys[1]...)
	out = jsonscan.AppendString(out, reference)
	if len(f.values) > 0 {
		clear(f.values)
		for key, value := range f.Members(row.Node.PromptVariables) {
			if place, ok := f.places[string(key)]; ok && value[0] != 'n' {
				f.values[place] = value
			}
		}
	}
	for i, value := range f.values {
		out = append(out, f.keys[2+i]...)
		if value == nil {
			out = append(out, "null"...)
		} else {
			out = record.AppendValue(out, value)
		}
	}
	return append(out, '}'), ""
}
