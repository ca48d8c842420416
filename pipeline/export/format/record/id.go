package record

import (
	"crypto/sha1"
	"encoding/hex"
)

// idNamespace is the namespace of record ids, b0759858-e76b-5bf2-83cd-2b119a052fbf: the UUIDv5 of
// https://github.com/millrace/millrace in the namespace of URLs (RFC 9562, section 6.6).
var idNamespace = [16]byte{0xb0, 0x75, 0x98, 0x58, 0xe7, 0x6b, 0x5b, 0xf2, 0x83, 0xcd, 0x2b, 0x11, 0x9a, 0x05, 0x2f,
	0xbf}

// IDs makes the ids of the records of one purpose and target. A second export of the same run
// writes the same id.
type IDs struct {
	suffix string // /purpose/target
	name   []byte // reused
}

// NewIDs returns the ids of a purpose and target.
func NewIDs(purpose, target string) IDs { return IDs{suffix: "/" + purpose + "/" + target} }

// Append appends, quoted, the id of the record of a run or node run: UUIDv5(idNamespace,
// workspace/run/nodeRun/purpose/target), RFC 9562 section 5.5. Ids contain no "/", so no two
// records have the same name.
func (i *IDs) Append(dst []byte, row *Row) []byte {
	name := append(i.name[:0], idNamespace[:]...)
	name = append(name, row.WorkspaceID...)
	name = append(name, '/')
	name = append(name, row.RunID...)
	name = append(name, '/')
	name = append(name, row.NodeRunID()...)
	name = append(name, i.suffix...)
	i.name = name
	sum := sha1.Sum(name)
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	dst = append(dst, '"')
	dst = hex.AppendEncode(dst, sum[0:4])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, sum[4:6])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, sum[6:8])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, sum[8:10])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, sum[10:16])
	return append(dst, '"')
}
