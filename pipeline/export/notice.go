package export

import "time"

// Retrying is what a stage tries again for an export, and why.
type Retrying struct {
	Stage    string    `json:"stage" doc:"plan, extract or seal"`
	Code     string    `json:"code"`
	Message  string    `json:"message"`
	Since    time.Time `json:"since" doc:"When the first attempt began."`
	Attempts int64     `json:"attempts" doc:"Attempts that failed since then."`
	At       time.Time `json:"-"` // when the newest attempt failed
}

// RetryingShown is how long readers show a Retrying that is not renewed.
const RetryingShown = time.Minute

// NewNotice returns a partial progress of an export: its identity as far as r has it, which may be
// nil. The caller sets what the notice tells.
func NewNotice(id ID, r *Request, requestedAt, at time.Time) *Progress {
	s := State{ID: id, RequestedAt: requestedAt, Status: StatusAccepted, UpdatedAt: at, Partial: true}
	if r != nil {
		s.Name, s.Purpose, s.Source, s.AppID, s.Nodes = r.Name, r.Purpose, r.Source, r.AppID.String(), r.Nodes
		s.Target, s.Format, s.RequestedBy, s.OnBehalfOf = r.Target, r.Format, r.RequestedBy, r.OnBehalfOf
	}
	return &Progress{s}
}

// With returns s with what another state of the export tells about cancels and retries. A cancel
// stays; of two retries the newer counts. An export that has ended has neither.
func (s *State) With(other *State) *State {
	if other == nil || s.Status.Final() {
		return s
	}
	merged := *s
	merged.Cancelling = s.Cancelling || other.Cancelling
	if r := other.Retrying; r != nil && (s.Retrying == nil || r.At.After(s.Retrying.At)) {
		merged.Retrying = r
	}
	return &merged
}

// Current returns s without a Retrying that was not renewed. It returns s itself where nothing is to
// hide.
func (s *State) Current(now time.Time) *State {
	if s == nil || s.Retrying == nil || now.Sub(s.Retrying.At) <= RetryingShown {
		return s
	}
	current := *s
	current.Retrying = nil
	return &current
}
