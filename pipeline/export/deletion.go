package export

import "time"

// Deletion is deleted.json: somebody deleted the files of an export that had ended. Its plan and its manifest
// stay, and tell what there was.
type Deletion struct {
	ID
	DeletedAt time.Time `json:"deleted_at"`
	DeletedBy string    `json:"deleted_by,omitempty"`
}
