package export

import "time"

// Cancellation is cancel.json: somebody asked to cancel the export. A cancel may be read before the
// request of its export, because the two may be in different partitions.
type Cancellation struct {
	ID
	RequestedBy string    `json:"requested_by,omitempty"`
	FiledAt     time.Time `json:"filed_at"` // the timestamp of the cancel's record
}

// CancelReach is how long after a cancel the request of its export may be filed and still be
// cancelled. It is compared with timestamps of records, so that the outcome does not depend on when
// they are read.
const CancelReach = 24 * time.Hour

// Reaches reports whether the cancel ends an export whose request was filed at the time.
func (c *Cancellation) Reaches(filedAt time.Time) bool { return filedAt.Sub(c.FiledAt) <= CancelReach }
