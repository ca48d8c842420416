package export

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxNamed is how many runs a command line names. Beyond them it has the request as a document.
const maxNamed = 20

// CommandLine returns the command that files a request, for a POSIX shell, and follows it to its end. Document is
// the JSON of the request without the fields that every export has of its own: the command has those flags alone
// that set one of its fields. What no flag can say is in the document, which the command then reads.
func CommandLine(workspace string, document []byte) string {
	var r Request
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber() // in options
	if decoder.Decode(&r) != nil || !r.hasFlags() {
		return "millrace request --workspace=" + word(workspace) + " --watch -f - <<'END'\n" +
			strings.TrimRight(string(document), "\n") + "\nEND"
	}
	c := command{flags: []string{"millrace request --workspace=" + word(workspace)}}
	c.text("name", r.Name)
	c.text("purpose", r.Purpose)
	c.text("source", r.Source)
	c.texts("app", r.AppID)
	c.texts("node", r.Nodes)
	c.selection(&r.Selection)
	c.filters(&r.Filters)
	c.text("target", r.Target)
	c.text("format", r.Format)
	c.text("compression", r.Compression)
	if s := r.Split; s != nil {
		c.share("validation", s.Validation)
		c.share("test", s.Test)
		c.share("seed", float64(s.Seed)) // hasFlags has checked that it is one
	}
	for _, name := range slices.Sorted(maps.Keys(r.Options)) {
		value, err := json.Marshal(r.Options[name])
		if err == nil {
			c.add("option", name+"="+string(value))
		}
	}
	return strings.Join(append(c.flags, "--watch"), " \\\n  ")
}

// hasFlags reports whether flags can say all of the request.
func (r *Request) hasFlags() bool {
	// A key of metadata with = is no KEY=VALUE, and split is a map of floats.
	for key := range r.Filters.Metadata {
		if key == "" || strings.Contains(key, "=") {
			return false
		}
	}
	if s := r.Split; s != nil && (s.Seed > 1<<53 || s.Seed < -(1<<53)) {
		return false
	}
	return len(r.Selection.RunIDs) <= maxNamed && r.Fragment == Fragment{}
}

// command is a command line in the making.
type command struct{ flags []string }

func (c *command) add(flag, value string) { c.flags = append(c.flags, "--"+flag+"="+word(value)) }

func (c *command) text(flag, value string) {
	if value != "" {
		c.add(flag, value)
	}
}

func (c *command) texts(flag string, values []string) {
	for _, v := range values {
		c.add(flag, v)
	}
}

func (c *command) integer(flag string, n int64) {
	if n != 0 {
		c.add(flag, strconv.FormatInt(n, 10))
	}
}

func (c *command) pointed(flag string, n *int64) {
	if n != nil {
		c.add(flag, strconv.FormatInt(*n, 10))
	}
}

func (c *command) share(name string, x float64) {
	if x != 0 {
		c.add("split", name+"="+decimal(x))
	}
}

func (c *command) number(flag string, x *float64) {
	if x != nil {
		c.add(flag, decimal(*x))
	}
}

func (c *command) selection(s *Selection) {
	c.texts("run-id", s.RunIDs)
	c.integer("limit", s.Limit)
	c.integer("limit-runs", s.LimitRuns)
	if s.Sample != nil {
		c.integer("sample", s.Sample.Size)
		c.integer("sample-seed", s.Sample.Seed)
		c.text("sample-by", s.Sample.By)
	}
	if w := s.Window; w != nil {
		c.add("from", w.From.UTC().Format(time.RFC3339Nano))
		c.add("to", w.To.UTC().Format(time.RFC3339Nano))
		c.text("by", w.By)
	}
}

func (c *command) filters(f *Filters) {
	c.text("text", f.Text)
	c.texts("version", f.AppVersions)
	c.texts("model", f.Models)
	c.texts("trigger", f.Triggers)
	c.texts("status", f.Statuses)
	c.texts("error-type", f.ErrorTypes)
	c.texts("tag", f.Tags)
	c.text("rating", f.Rating)
	c.number("min-score", f.MinScore)
	for _, name := range slices.Sorted(maps.Keys(f.Scores)) {
		c.add("score", name+"="+f.Scores[name].String())
	}
	c.pointed("min-latency-ms", f.MinLatencyMS)
	c.pointed("max-latency-ms", f.MaxLatencyMS)
	c.number("min-cost-usd", f.MinCostUSD)
	c.number("max-cost-usd", f.MaxCostUSD)
	switch {
	case f.HasFiles == nil:
	case *f.HasFiles:
		c.flags = append(c.flags, "--has-files")
	default:
		c.flags = append(c.flags, "--no-has-files")
	}
	if f.SessionID != nil {
		c.add("session", *f.SessionID)
	}
	if f.UserID != nil {
		c.add("user", *f.UserID)
	}
	for _, key := range slices.Sorted(maps.Keys(f.Metadata)) {
		c.add("metadata", key+"="+f.Metadata[key])
	}
}

// decimal formats a number so that it is read as the same one.
func decimal(x float64) string {
	if x == math.Trunc(x) && math.Abs(x) < 1e15 {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

// word quotes a text for a POSIX shell, where it needs that.
func word(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-./:@%+=,", r)
	}
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
