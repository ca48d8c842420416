package selection

import (
	"errors"
	"reflect"
	"testing"

	"github.com/millrace/millrace/pipeline/export/format/record"
)

// packedRows are two judgements as ClickHouse packs them: one with every value, one with none.
var packedRows = []byte("\x02f1\x04tone\x05model\x08thumbsUp\x00\x00\x00\x00\x00\x00\x00\xe0\x3f\x03bad\x02\x01a\x00" +
	"\x06better\x02me\x00\x10\x27\x00\x00\x00\x00\x00\x00" +
	"\x02f2\x00\x05human\x00\x01\x00\x00\x00\x00\x01")

func TestPackedJudgementsAreUnpacked(t *testing.T) {
	t.Parallel()
	got, err := unpack(nil, packedRows)
	want := []record.Judgement{
		{FeedbackID: []byte("f1"), Name: []byte("tone"), Kind: []byte("model"), Rating: []byte("thumbsUp"),
			Score: record.Null[float64]{Value: 0.5, Valid: true}, Comment: []byte("bad"), Tags: [][]byte{[]byte("a"), {}},
			CorrectedAnswer: []byte("better"), CreatedBy: []byte("me"),
			CreatedAt: record.Null[int64]{Value: 10000, Valid: true}},
		{FeedbackID: []byte("f2"), Name: []byte{}, Kind: []byte("human"), Rating: []byte{}, Comment: []byte{},
			CorrectedAnswer: []byte{}, CreatedBy: []byte{}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	whole := map[int]bool{0: true, 59: true, len(packedRows): true}
	for end := range packedRows {
		if _, err := unpack(nil, packedRows[:end]); (err == nil) != whole[end] || err != nil && !errors.Is(err, errPacked) {
			t.Errorf("cut after %d bytes of %d: %v", end, len(packedRows), err)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(packedRows)
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, packed []byte) {
		list, err := unpack(nil, packed)
		if err == nil && len(list) > len(packed)/10 {
			t.Errorf("%d judgements in %d bytes", len(list), len(packed))
		}
	})
}
