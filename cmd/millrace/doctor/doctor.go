// Package doctor is `millrace doctor`: it looks at a deployment, and says what is wrong and what to do.
//
//	doctor.go      the command, and what it prints
//	kafka.go       brokers and topics; rights; consumer groups and their lag
//	clickhouse.go  version, migrations, tables, settings, replicas
//	bucket.go      creating once, also when several race; signed URLs
//	keys.go        keys of tokens, certificates and when they expire
//	clocks.go      the clocks of Kafka, ClickHouse and the bucket against this one
//	canary.go      --deep: a run that goes through everything
package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/pipeline/rights"
)

// Command is the command line of millrace doctor.
type Command struct {
	Role []string `enum:"ingest,export,serve" help:"The roles that the Kafka user of this configuration is for: ingest, export, serve. Default: it must have the rights of one of them."`
	Deep bool     `help:"Also write, export, read and remove a run in a workspace of its own. Needs ingest and export to run."`
	JSON bool     `name:"json" help:"One JSON object for each finding, one a line."`
}

// Severity is how bad a finding is.
type Severity string

// The severities, from good to bad.
const (
	OK      Severity = "ok"
	Note    Severity = "note"    // something could not be looked at, or is a choice
	Warning Severity = "warning" // it works, and will not for ever
	Error   Severity = "error"   // something does not work, or may lose data
)

// Finding is what a check has found.
type Finding struct {
	Area     string   `json:"area"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Action   string   `json:"action,omitempty"` // what to do about it
}

// The areas, in the order of the checks.
const (
	areaKafka      = "kafka"
	areaRights     = "rights"
	areaGroups     = "groups"
	areaClickHouse = "clickhouse"
	areaBucket     = "bucket"
	areaKeys       = "keys"
	areaClocks     = "clocks"
	areaCanary     = "canary"
)

// examination collects findings.
type examination struct {
	*app.App
	command  Command
	findings []Finding
}

func (e *examination) add(area string, severity Severity, action, format string, args ...any) {
	e.findings = append(e.findings, Finding{area, severity, app.Redact(fmt.Sprintf(format, args...)), action})
}

func (e *examination) ok(area, format string, args ...any) { e.add(area, OK, "", format, args...) }

// checkTimeout bounds the checks of an area.
const checkTimeout = time.Minute

// Run examines the deployment. Its exit code is 0 if nothing is wrong, [app.ExitWarnings] if there are
// warnings alone, and [app.ExitFailed] if there are errors.
func (c Command) Run(ctx context.Context, a *app.App) error {
	e := &examination{App: a, command: c}
	for _, check := range []func(context.Context){e.kafka, e.clickHouse, e.bucket, e.keys, e.canary} {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		limited, cancel := context.WithTimeout(ctx, checkTimeout)
		seen := len(e.findings)
		check(limited)
		cancel()
		for _, f := range e.findings[seen:] {
			if err := c.show(a, f, e.findings[:seen]); err != nil {
				return err
			}
			seen++
		}
	}
	return c.summary(a, e.findings)
}

// show prints a finding, below the name of its area.
func (c Command) show(a *app.App, f Finding, before []Finding) error {
	if c.JSON {
		return a.PrintJSON(f)
	}
	if len(before) == 0 || before[len(before)-1].Area != f.Area {
		fmt.Fprintln(a.Stdout, f.Area)
	}
	_, err := fmt.Fprintf(a.Stdout, "  %-8s %s\n", f.Severity, f.Message)
	if f.Action != "" {
		_, err = fmt.Fprintf(a.Stdout, "           → %s\n", f.Action)
	}
	return err
}

// summary prints how many findings there are, and returns the exit code.
func (c Command) summary(a *app.App, findings []Finding) error {
	count := func(s Severity) (n int) {
		for _, f := range findings {
			if f.Severity == s {
				n++
			}
		}
		return n
	}
	errors, warnings := count(Error), count(Warning)
	if !c.JSON {
		text := fmt.Sprintf("%d errors, %d warnings", errors, warnings)
		if errors+warnings == 0 {
			text = "nothing is wrong"
		}
		if _, err := fmt.Fprintln(a.Stdout, "\n"+text); err != nil {
			return err
		}
	}
	switch {
	case errors > 0:
		return &app.ExitError{Code: app.ExitFailed}
	case warnings > 0:
		return &app.ExitError{Code: app.ExitWarnings}
	}
	return nil
}

// names are the prefixes of this installation.
func (e *examination) names() rights.Names {
	return rights.Names{Topics: e.Config.KafkaTopicPrefix, TransactionalIDs: e.Config.KafkaTransactionalIDPrefix}
}

// sorted returns a sorted copy.
func sorted[T ~string](list []T) []T { return slices.Sorted(slices.Values(list)) }
