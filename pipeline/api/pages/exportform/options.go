package exportform

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/export/format"
)

// Control is an option of the target as a field of the form.
type Control struct {
	format.Option
	Field   string   // its name
	Value   string   // as the form has it; "": the default
	Chosen  []string // of Names
	Choices []Choice // of Flag, Choice and Names
}

// Choice is a value of a control.
type Choice struct {
	Value, Label string
	On           bool
}

// optionField is the name of the field of an option.
func optionField(name string) string { return "option." + name }

// Controls are the options of the target, and those of files in the chosen format.
func (f *Form) Controls() (all []Control) {
	for _, o := range slices.Concat(f.Target().Options, format.FileOptions) {
		if o.Formats != nil && !slices.Contains(o.Formats, f.Format()) {
			continue
		}
		c := Control{Option: o, Field: optionField(o.Name), Value: f.Get(optionField(o.Name))}
		switch o.Kind {
		case format.Flag:
			c.Choices = flagChoices(o, c.Value)
		case format.Choice:
			for _, v := range o.Values {
				c.Choices = append(c.Choices, c.choice(v, v))
			}
		case format.Names:
			c.Chosen = f.list(c.Field)
			for _, name := range f.names(o) {
				c.Choices = append(c.Choices, Choice{name, name, slices.Contains(c.Chosen, name)})
			}
		}
		all = append(all, c)
	}
	return all
}

// choice returns a value of a Choice. The default is the empty value, which leaves the option out.
func (c *Control) choice(value, label string) Choice {
	if c.Default == value {
		return Choice{"", label + " (default)", c.Value == "" || c.Value == value}
	}
	return Choice{value, label, c.Value == value}
}

func flagChoices(o format.Option, value string) []Choice {
	yes, no := Choice{"true", "Yes", value == "true"}, Choice{"false", "No", value == "false"}
	switch o.Default {
	case true:
		yes = Choice{"", "Yes (default)", value != "false"}
		return []Choice{yes, no}
	case false:
		no = Choice{"", "No (default)", value != "true"}
		return []Choice{no, yes}
	}
	return []Choice{{"", "Default", value == ""}, yes, no}
}

// names are the possible values of an option, or nil if any text is.
func (f *Form) names(o format.Option) (names []string) {
	if o.Name != format.ColumnsOption.Name || o.Values != nil {
		return o.Values
	}
	formatter, err := f.Target().Formatter(f.Purpose(), nil)
	if err != nil {
		return nil
	}
	for _, c := range formatter.Columns() {
		names = append(names, c.Name)
	}
	return names
}

// options returns the options of the request.
func (f *Form) options() map[string]any {
	all := map[string]any{}
	for _, c := range f.Controls() {
		switch value := f.option(c); {
		case value == nil, c.Default != nil && fmt.Sprint(value) == fmt.Sprint(c.Default):
		default:
			all[c.Name] = value
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

func (f *Form) option(c Control) any {
	switch {
	case c.Kind == format.Names:
		if len(c.Chosen) == 0 {
			return nil
		}
		return c.Chosen
	case strings.TrimSpace(c.Value) == "":
		return nil
	case c.Kind == format.Flag && (c.Value == "true" || c.Value == "false"):
		return c.Value == "true"
	case c.Kind == format.Whole && validNumber(c.Value):
		return json.Number(c.Value)
	}
	return c.Value
}
