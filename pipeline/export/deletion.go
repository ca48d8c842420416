package export

import "time"

// Deletion is deleted.json: somebody deleted the files of an export that had ended. The plan and
// the manifest stay, as a record of the files.
type Deletion struct {
	ID
	DeletedAt time.Time `json:"deleted_at"`
	DeletedBy string    `json:"deleted_by,omitempty"`
}
