package pages

import (
	"regexp"
	"slices"
	"strings"

	"github.com/millrace/millrace/pipeline/history"
)

// pairRow is the runs of two versions on one input.
type pairRow struct {
	Question string
	Outcome  string
	Sides    [2]pairSide // of the base, and of the version
}

// pairSide is a run of a pair. Its answer is in pieces; those that the other lacks are marked.
type pairSide struct {
	history.Run
	Kind   string // gone or new: how marked pieces look
	Pieces []piece
	IsMore bool // the answer is cut
}

// piece is a part of a text.
type piece struct {
	Text   string
	Marked bool
}

func newPairRow(p *history.Pair) pairRow {
	row := pairRow{Question: p.Version.Question, Outcome: p.Outcome}
	gone, added := differences(outcomeText(&p.Base), outcomeText(&p.Version))
	row.Sides[0] = pairSide{Run: p.Base, Kind: "gone", Pieces: gone, IsMore: p.Base.AnswerTruncated}
	row.Sides[1] = pairSide{Run: p.Version, Kind: "new", Pieces: added, IsMore: p.Version.AnswerTruncated}
	return row
}

// outcomeText is what came out of a run: its answer, or else its error.
func outcomeText(r *history.Run) string {
	if r.Answer == "" && r.Error != nil {
		return strings.TrimSpace(r.Error.Type + " " + r.Error.Message)
	}
	return r.Answer
}

var word = regexp.MustCompile(`\s+|[\pL\pN]+|[^\s\pL\pN]`)

// maxWords is how many words of two texts are compared. The table that this takes has the square.
const maxWords = 1000

// differences returns two texts in pieces, with those marked that are not in the other. Of texts with
// too many words, all between their common beginning and end is marked.
func differences(a, b string) (left, right []piece) {
	x, y := word.FindAllString(a, -1), word.FindAllString(b, -1)
	begin := 0
	for begin < min(len(x), len(y)) && x[begin] == y[begin] {
		begin++
	}
	end := 0
	for end < min(len(x), len(y))-begin && x[len(x)-1-end] == y[len(y)-1-end] {
		end++
	}
	head, tail := strings.Join(x[:begin], ""), strings.Join(x[len(x)-end:], "")
	x, y = x[begin:len(x)-end], y[begin:len(y)-end]
	inX, inY := make([]bool, len(x)), make([]bool, len(y))
	if len(x) <= maxWords && len(y) <= maxWords {
		inX, inY = common(x, y)
	}
	return pieces(head, x, inX, tail), pieces(head, y, inY, tail)
}

// common returns which words of x and y belong to a longest common subsequence.
func common(x, y []string) (inX, inY []bool) {
	inX, inY = make([]bool, len(x)), make([]bool, len(y))
	width := len(y) + 1
	length := make([]uint16, (len(x)+1)*width) // of that of x[i:] and y[j:]
	for i, v := range slices.Backward(x) {
		for j, w := range slices.Backward(y) {
			if v == w {
				length[i*width+j] = length[(i+1)*width+j+1] + 1
			} else {
				length[i*width+j] = max(length[(i+1)*width+j], length[i*width+j+1])
			}
		}
	}
	for i, j := 0, 0; i < len(x) && j < len(y); {
		switch {
		case x[i] == y[j]:
			inX[i], inY[j] = true, true
			i, j = i+1, j+1
		case length[(i+1)*width+j] >= length[i*width+j+1]:
			i++
		default:
			j++
		}
	}
	return inX, inY
}

// pieces joins words that are marked alike. White space between two marked words is marked too, and no
// other white space is.
func pieces(head string, words []string, kept []bool, tail string) (all []piece) {
	add := func(text string, marked bool) {
		if text == "" {
			return
		}
		if n := len(all); n > 0 && all[n-1].Marked == marked {
			all[n-1].Text += text
			return
		}
		all = append(all, piece{text, marked})
	}
	add(head, false)
	for i, w := range words {
		marked := !kept[i]
		if strings.TrimSpace(w) == "" {
			marked = i > 0 && i+1 < len(words) && !kept[i-1] && !kept[i+1]
		}
		add(w, marked)
	}
	add(tail, false)
	return all
}
