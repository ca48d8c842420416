package pages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/millrace/millrace/pipeline/api/auth"
	"github.com/millrace/millrace/pipeline/history"
)

// appDays is how many days the counts of an app cover.
const appDays = 14

// appsPage lists the copilots or the recipes of a workspace.
type appsPage struct {
	Source  string
	Days    int
	Apps    []appRow
	Example example
}

type appRow struct {
	history.App
	Spark   spark
	Success int // percent of the runs that have ended; -1 if none has
}

// Name returns the name of the app, or else its id.
func (a appRow) Name() string { return appName(&a.App) }

// History is the address of its runs.
func (a appRow) History() string { return historyOf(a.Source, a.AppID) }

// Compare is the address of the comparison of its versions.
func (a appRow) Compare() string { return compareOf(a.Source, a.AppID) }

// Exports is the address of its exports.
func (a appRow) Exports() string { return exportsOf(a.Source, a.AppID) }

func appName(a *history.App) string {
	if a.AppName != "" {
		return a.AppName
	}
	return a.AppID
}

func historyOf(source, app string) string {
	return address("/history", url.Values{"source": {source}, "app": {app}})
}

func exportsOf(source, app string) string {
	return address("/exports", url.Values{"source": {source}, "app": {app}})
}

// sectionOf returns the section of the navigation for a source.
func sectionOf(source string) string {
	if source == "recipe" {
		return "recipes"
	}
	return "copilots"
}

// showApps shows /copilots or /recipes.
func (p *Pages) showApps(source string) handler {
	return func(w http.ResponseWriter, r *http.Request, c *auth.Caller) error {
		apps, err := p.runs.Apps(r.Context(), c.Workspace, source, appDays)
		if err != nil {
			return err
		}
		return p.renderApps(w, r, c, source, apps)
	}
}

func (p *Pages) renderApps(w http.ResponseWriter, r *http.Request, c *auth.Caller, source string,
	apps []history.App) error {
	title := "Copilots"
	if source == "recipe" {
		title = "Recipes"
	}
	page := appsPage{Source: source, Days: appDays, Apps: make([]appRow, len(apps))}
	for i, a := range apps {
		page.Apps[i] = appRow{App: a, Spark: newSpark(a.Days), Success: percent(a.Succeeded, a.Succeeded+a.Failed)}
	}
	if len(apps) == 0 {
		page.Example = p.example(r, c, source)
	}
	return p.render(w, r, view{template: "apps.html", title: title, section: sectionOf(source), data: page})
}

// percent returns the percentage of part in of. It never rounds up to 100, and is -1 if of is 0.
func percent(part, of int64) int {
	switch {
	case of == 0:
		return -1
	case part == of:
		return 100
	}
	return min(99, int(math.Round(float64(part)*100/float64(of))))
}

// example has the commands that send a first run.
type example struct {
	Post   string // a curl command
	Event  string // a line for a file
	Replay string
}

var plainHost = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]+$`)

func (p *Pages) example(r *http.Request, c *auth.Caller, source string) example {
	server := strings.TrimSuffix(p.cfg.PublicURL, "/")
	if server == "" {
		host, scheme := r.Host, "http"
		if !plainHost.MatchString(host) { // the host is part of a shell command
			host = "127.0.0.1:8080"
		}
		if p.secure(r) {
			scheme = "https"
		}
		server = scheme + "://" + host
	}
	app, name, question, answer := "helpdesk", "Help desk", "Which gate does my flight leave from?",
		"From gate B12, at 14:05."
	if source == "recipe" {
		app, name, question, answer = "summarize", "Summarize tickets", "Summarize ticket 4711.",
			"The filter was cleaned; the fault is gone."
	}
	now := p.now().UTC().Truncate(time.Second)
	event, err := json.Marshal(firstRun{
		Type: "dev.millrace.run.v1", Workspace: c.Workspace, Run: "first-run", Source: source, App: app, Name: name,
		Started: now.Add(-2 * time.Second), Ended: now, Status: "succeeded",
		Question: question, Answer: answer,
	})
	if err != nil {
		panic(err) // the type is plain
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, event, "  ", "  "); err != nil {
		panic(err) // it is JSON
	}
	key := ""
	if !p.auth.Keyless() {
		key = "  -H \"Authorization: Bearer $TOKEN\" \\\n"
	}
	return example{
		Post: "curl " + server + "/v1/runs \\\n" + key +
			"  -H 'Content-Type: application/json' \\\n  -d '" + pretty.String() + "'",
		Event: string(event), Replay: "millrace replay runs.jsonl",
	}
}

// firstRun is a run event as bare JSON, with its type beside the data.
type firstRun struct {
	Type      string    `json:"type"`
	Workspace string    `json:"workspace_id"`
	Run       string    `json:"run_id"`
	Source    string    `json:"source"`
	App       string    `json:"app_id"`
	Name      string    `json:"app_name"`
	Started   time.Time `json:"started_at"`
	Ended     time.Time `json:"ended_at"`
	Status    string    `json:"status"`
	Question  string    `json:"question"`
	Answer    string    `json:"answer"`
}

// spark is a small drawing of the runs a day: one bar each, in a box of Width by sparkHeight.
type spark struct {
	Bars  []bar
	Width int
	Label string // for those who do not see it
}

type bar struct {
	X, Y, Height int
	Title        string
}

const (
	sparkHeight = 28
	sparkStep   = 8 // a bar of 6 and a gap of 2
)

func newSpark(days []history.Day) spark {
	s := spark{Width: max(1, len(days)*sparkStep-2)}
	var most, last int64
	for _, d := range days {
		most, last = max(most, d.Runs), d.Runs
	}
	for i, d := range days {
		height := 1 // a day without runs is a line at the bottom
		if d.Runs > 0 {
			height = max(3, int(d.Runs*sparkHeight/most))
		}
		s.Bars = append(s.Bars, bar{X: i * sparkStep, Y: sparkHeight - height, Height: height,
			Title: d.Date + ": " + plural(d.Runs, "run", "runs")})
	}
	s.Label = fmt.Sprintf("Runs a day over %d days: at most %s, on the last day %s", len(days), number(most), number(last))
	return s
}
