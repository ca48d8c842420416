package runs

import (
	"time"

	"github.com/millrace/millrace/pipeline/strictjson"
)

// Decoder decodes run events. The zero value is ready to use. It is not safe for concurrent use.
type Decoder struct {
	// Unknown, if set, is called with the name of each field that the contract does not have.
	Unknown func(field string)
	// MaxString is the size of the largest string that is accepted, in bytes; 0 is the contract's.
	MaxString int
	// Borrow makes texts of the events parts of the data that they are decoded from, which must then
	// never change.
	Borrow bool
	// Latest is the latest updated_at that is accepted, since a later snapshot would stay the newest
	// until then; zero is the contract's end of time.
	Latest time.Time

	r strictjson.Reader
}

// Decode decodes the data of an event of a CloudEvents type. Prefix is the JSON pointer of data in
// the producer's message. EventTime is the default of updated_at. The error is a
// *strictjson.Refusal.
func (d *Decoder) Decode(eventType string, data []byte, prefix string, eventTime time.Time) (Event, error) {
	d.r.MaxString, d.r.Borrow = d.MaxString, d.Borrow
	d.r.Reset(data, prefix, strictjson.MaxDepth)
	f := fields{r: &d.r, unknown: d.Unknown, latest: d.Latest}
	var event Event
	var err error
	switch eventType {
	case TypeRun:
		run := &Run{UpdatedAt: eventTime}
		event, err = run, f.run(run)
	case TypeNode:
		node := &Node{UpdatedAt: eventTime}
		event, err = node, f.node(node)
	case TypeFeedback:
		feedback := &Feedback{Kind: kinds[0], UpdatedAt: eventTime}
		event, err = feedback, f.feedback(feedback)
	default:
		return nil, &strictjson.Refusal{
			Code: strictjson.UnknownType, Pointer: "/type",
			Rule: "must be " + TypeRun + ", " + TypeNode + " or " + TypeFeedback,
		}
	}
	if err == nil {
		err = d.r.End()
	}
	if err != nil {
		return nil, err
	}
	return event, nil
}

func (f *fields) run(v *Run) error {
	err := f.r.Object(func(key string) error {
		switch key {
		case "workspace_id":
			return f.workspaceID(&v.WorkspaceID)
		case "run_id":
			return f.id(&v.RunID)
		case "source":
			return f.enum(&v.Source, sources)
		case "app_id":
			return f.id(&v.AppID)
		case "app_name":
			return f.text(&v.AppName)
		case "app_version":
			return f.text(&v.AppVersion)
		case "request_id":
			return f.text(&v.RequestID)
		case "session_id":
			return f.text(&v.SessionID)
		case "user_id":
			return f.text(&v.UserID)
		case "model":
			return f.text(&v.Model)
		case "trace_id":
			return f.text(&v.TraceID)
		case "trigger":
			return f.text(&v.Trigger)
		case "status":
			return f.enum(&v.Status, statuses)
		case "started_at":
			return f.time(&v.StartedAt, time.Millisecond)
		case "ended_at":
			return f.time(&v.EndedAt, time.Millisecond)
		case "updated_at":
			return f.time(&v.UpdatedAt, time.Microsecond)
		case "question":
			return f.text(&v.Question)
		case "answer":
			return f.text(&v.Answer)
		case "reference":
			return f.text(&v.Reference)
		case "inputs":
			return f.object(&v.Inputs)
		case "system_inputs":
			return f.object(&v.SystemInputs)
		case "outputs":
			return f.object(&v.Outputs)
		case "messages":
			return f.messages(&v.Messages)
		case "tools":
			return f.tools(&v.Tools)
		case "error":
			return f.error(&v.Error)
		case "files":
			return f.files(&v.Files)
		case "usage":
			return f.usage(&v.Usage)
		case "cost_usd":
			return f.float(&v.CostUSD)
		case "metadata":
			return f.metadata(&v.Metadata)
		}
		return f.skip(key)
	})
	if err != nil {
		return err
	}
	if err := f.required(
		need{"workspace_id", v.WorkspaceID != ""}, need{"run_id", v.RunID != ""}, need{"source", v.Source != ""},
		need{"app_id", v.AppID != ""}, need{"started_at", !v.StartedAt.IsZero()},
		need{"status", v.Status != ""}); err != nil {
		return err
	}
	return f.version(v.UpdatedAt)
}

func (f *fields) node(v *Node) error {
	err := f.r.Object(func(key string) error {
		switch key {
		case "workspace_id":
			return f.workspaceID(&v.WorkspaceID)
		case "run_id":
			return f.id(&v.RunID)
		case "node_run_id":
			return f.id(&v.NodeRunID)
		case "source":
			return f.enum(&v.Source, sources)
		case "app_id":
			return f.id(&v.AppID)
		case "app_version":
			return f.text(&v.AppVersion)
		case "node_id":
			return f.id(&v.NodeID)
		case "node_name":
			return f.text(&v.NodeName)
		case "node_type":
			return f.text(&v.NodeType)
		case "parent_node_run_id":
			return f.id(&v.ParentNodeRunID)
		case "sequence":
			return f.integer(&v.Sequence)
		case "status":
			return f.enum(&v.Status, statuses)
		case "started_at":
			return f.time(&v.StartedAt, time.Millisecond)
		case "ended_at":
			return f.time(&v.EndedAt, time.Millisecond)
		case "updated_at":
			return f.time(&v.UpdatedAt, time.Microsecond)
		case "inputs":
			return f.object(&v.Inputs)
		case "outputs":
			return f.object(&v.Outputs)
		case "prompt":
			return f.prompt(v)
		case "messages":
			return f.messages(&v.Messages)
		case "tools":
			return f.tools(&v.Tools)
		case "model":
			return f.text(&v.Model)
		case "parameters":
			return f.parameters(&v.Parameters)
		case "chunks":
			return f.chunks(&v.Chunks)
		case "error":
			return f.error(&v.Error)
		case "files":
			return f.files(&v.Files)
		case "usage":
			return f.usage(&v.Usage)
		case "cost_usd":
			return f.float(&v.CostUSD)
		case "metadata":
			return f.metadata(&v.Metadata)
		}
		return f.skip(key)
	})
	if err != nil {
		return err
	}
	if err := f.required(
		need{"workspace_id", v.WorkspaceID != ""}, need{"run_id", v.RunID != ""}, need{"node_run_id", v.NodeRunID != ""},
		need{"source", v.Source != ""}, need{"app_id", v.AppID != ""}, need{"node_id", v.NodeID != ""},
		need{"started_at", !v.StartedAt.IsZero()}, need{"status", v.Status != ""}); err != nil {
		return err
	}
	return f.version(v.UpdatedAt)
}

func (f *fields) feedback(v *Feedback) error {
	err := f.r.Object(func(key string) error {
		switch key {
		case "workspace_id":
			return f.workspaceID(&v.WorkspaceID)
		case "run_id":
			return f.id(&v.RunID)
		case "feedback_id":
			return f.id(&v.FeedbackID)
		case "name":
			return f.judgementName(&v.Name)
		case "kind":
			return f.enum(&v.Kind, kinds)
		case "rating":
			return f.enum(&v.Rating, ratings)
		case "score":
			return f.float(&v.Score)
		case "comment":
			return f.text(&v.Comment)
		case "tags":
			return f.texts(&v.Tags)
		case "corrected_answer":
			return f.text(&v.CorrectedAnswer)
		case "node_id":
			return f.id(&v.NodeID)
		case "node_run_id":
			return f.id(&v.NodeRunID)
		case "created_by":
			return f.text(&v.CreatedBy)
		case "created_at":
			return f.time(&v.CreatedAt, time.Millisecond)
		case "updated_at":
			return f.time(&v.UpdatedAt, time.Microsecond)
		}
		return f.skip(key)
	})
	if err != nil {
		return err
	}
	if err := f.required(need{"workspace_id", v.WorkspaceID != ""}, need{"run_id", v.RunID != ""},
		need{"feedback_id", v.FeedbackID != ""}); err != nil {
		return err
	}
	if v.Rating == "" && v.Score == nil && v.Comment == "" && v.CorrectedAnswer == "" {
		return f.r.RefuseField(strictjson.MissingField, "rating",
			"a feedback needs a rating, a score, a comment or a corrected_answer")
	}
	return f.version(v.UpdatedAt)
}

type need struct {
	field   string
	present bool
}

func (f *fields) required(needs ...need) error {
	for _, n := range needs {
		if !n.present {
			return f.r.RefuseField(strictjson.MissingField, n.field, "is required")
		}
	}
	return nil
}
