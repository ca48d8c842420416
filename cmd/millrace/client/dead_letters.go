package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cmd/millrace/app"
	"github.com/millrace/millrace/cmd/millrace/terminal"
	"github.com/millrace/millrace/pipeline/event"
	"github.com/millrace/millrace/pipeline/export/files"
	"github.com/millrace/millrace/pipeline/kafka"
	"github.com/millrace/millrace/pipeline/rights"
)

// DeadLetters are the commands about dead letters.
type DeadLetters struct {
	Ls     lettersLs     `cmd:"" help:"List the records that were refused, and why." example:"millrace dead-letters ls --code missing_field"`
	Show   lettersShow   `cmd:"" help:"Show one dead letter, with its headers and value." example:"millrace dead-letters show 0/17"`
	Replay lettersReplay `cmd:"" help:"Send records to their topic again, after the cause of the refusal was fixed." example:"millrace dead-letters replay --code row_refused"`
}

// letterInfo is the description of a dead letter in the output of ls.
type letterInfo struct {
	ID        string    `json:"id"` // partition/offset in topic dead-letters
	Time      time.Time `json:"time"`
	Stage     string    `json:"stage"`
	Code      string    `json:"error"`
	Detail    string    `json:"detail"`
	Topic     string    `json:"topic"`
	Partition string    `json:"partition"`
	Offset    string    `json:"offset"`
	Key       string    `json:"key"`
	Bytes     int       `json:"bytes"`
}

func describeLetter(r *kgo.Record) letterInfo {
	info := letterInfo{ID: letterID(r), Time: r.Timestamp.UTC(), Key: strings.ToValidUTF8(string(r.Key), "\uFFFD"),
		Bytes: len(r.Value)}
	for _, h := range r.Headers {
		value := strings.ToValidUTF8(string(h.Value), "\uFFFD")
		switch h.Key {
		case event.HeaderStage:
			info.Stage = value
		case event.HeaderError:
			info.Code = value
		case event.HeaderDetail:
			info.Detail = value
		case event.HeaderTopic:
			info.Topic = value
		case event.HeaderPartition:
			info.Partition = value
		case event.HeaderOffset:
			info.Offset = value
		}
	}
	return info
}

func letterID(r *kgo.Record) string { return fmt.Sprintf("%d/%d", r.Partition, r.Offset) }

type lettersLs struct {
	Code string `help:"Only dead letters with this code, such as missing_field."`
	N    int    `short:"n" default:"0" help:"Only the newest N; 0 = all."`
	JSON bool   `name:"json" help:"One JSON object a line."`
}

// Run lists the dead letters, oldest first.
func (c lettersLs) Run(ctx context.Context, a *app.App) error {
	var list []letterInfo
	err := eachLetter(ctx, a, func(_ *kgo.Client, r *kgo.Record) error {
		if info := describeLetter(r); c.Code == "" || c.Code == info.Code {
			list = append(list, info)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, func(x, y letterInfo) int { return x.Time.Compare(y.Time) })
	if c.N > 0 && len(list) > c.N {
		list = list[len(list)-c.N:]
	}
	if c.JSON {
		for _, info := range list {
			if err := a.PrintJSON(info); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		fmt.Fprintln(a.Stdout, "no dead letters")
		return nil
	}
	_, err = fmt.Fprint(a.Stdout, lettersTable(list, terminal.Of(a.Stdout)))
	return err
}

// lettersTable returns the rows of a listing as they fit a screen.
func lettersTable(list []letterInfo, s terminal.Screen) string {
	t := terminal.Table{Columns: []terminal.Column{
		{Title: "ID"}, {Title: "TIME"}, {Title: "STAGE", Optional: 2}, {Title: "ERROR"},
		{Title: "FROM", Min: 12, Optional: 4}, {Title: "KEY", Min: 8, Optional: 3},
		{Title: "SIZE", Right: true, Optional: 1}, {Title: "DETAIL", Min: 16},
	}}
	for _, l := range list {
		t.Add(l.ID, s.Time(l.Time), l.Stage, l.Code, l.Topic+"/"+l.Partition+"/"+l.Offset, printable(l.Key),
			files.Size(int64(l.Bytes)), printable(l.Detail))
	}
	return t.On(s)
}

// printable replaces characters that would move the terminal's cursor, colour the text, or reverse
// its direction.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.In(c, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return '\uFFFD'
		}
		return c
	}, s)
}

type lettersShow struct {
	ID string `arg:"" help:"The letter's PARTITION/OFFSET, as ls shows it."`
}

// Run shows one dead letter.
func (c lettersShow) Run(ctx context.Context, a *app.App) error {
	if err := checkLetterIDs(c.ID); err != nil {
		return err
	}
	found := false
	err := eachLetter(ctx, a, func(_ *kgo.Client, r *kgo.Record) error {
		if letterID(r) != c.ID {
			return nil
		}
		found = true
		fmt.Fprintf(a.Stdout, "key: %s\n", printable(string(r.Key)))
		for _, h := range r.Headers {
			fmt.Fprintf(a.Stdout, "%s: %s\n", printable(h.Key), printable(strings.ToValidUTF8(string(h.Value), "\uFFFD")))
		}
		fmt.Fprintln(a.Stdout)
		if utf8.Valid(r.Value) {
			fmt.Fprintf(a.Stdout, "%s\n", r.Value)
		} else {
			fmt.Fprintf(a.Stdout, "%q\n", r.Value)
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("no dead letter %s; `millrace dead-letters ls` lists them", c.ID)
	}
	return err
}

type lettersReplay struct {
	IDs  []string `arg:"" optional:"" name:"id" help:"PARTITION/OFFSET of letters, as ls shows them."`
	All  bool     `help:"All dead letters."`
	Code string   `help:"All dead letters with this code, such as row_refused."`
}

// Run sends dead letters to the topics they came from, without the headers that were added when
// they were refused.
func (c lettersReplay) Run(ctx context.Context, a *app.App) error {
	if len(c.IDs) == 0 && !c.All && c.Code == "" {
		return app.Usage("choose dead letters: PARTITION/OFFSET …, --code CODE or --all")
	}
	if err := checkLetterIDs(c.IDs...); err != nil {
		return err
	}
	sent, skipped := 0, 0
	err := eachLetter(ctx, a, func(client *kgo.Client, r *kgo.Record) error {
		info := describeLetter(r)
		if !c.All && !slices.Contains(c.IDs, info.ID) && (c.Code == "" || c.Code != info.Code) {
			return nil
		}
		if info.Topic == "" || len(r.Value) == 0 {
			skipped++
			fmt.Fprintf(a.Stderr, "%s: skipped: the letter lacks the record's value; read it at %s/%s/%s\n", info.ID, info.Topic,
				info.Partition, info.Offset)
			return nil
		}
		again := &kgo.Record{Topic: info.Topic, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			if !event.IsDeadLetterHeader(h.Key) {
				again.Headers = append(again.Headers, h)
			}
		}
		if err := client.ProduceSync(ctx, again).FirstErr(); err != nil {
			return fmt.Errorf("send %s to topic %s: %w", info.ID, info.Topic, err)
		}
		sent++
		return nil
	})
	fmt.Fprintf(a.Stdout, "sent %d records again\n", sent)
	if err == nil && skipped > 0 {
		err = fmt.Errorf("%d letters were skipped", skipped)
	}
	if err == nil && sent == 0 && len(c.IDs) > 0 {
		err = errors.New("there is no such dead letter; `millrace dead-letters ls` lists them")
	}
	return err
}

func checkLetterIDs(ids ...string) error {
	for _, id := range ids {
		partition, offset, ok := strings.Cut(id, "/")
		_, err1 := strconv.ParseInt(partition, 10, 32)
		_, err2 := strconv.ParseInt(offset, 10, 64)
		if !ok || err1 != nil || err2 != nil {
			return app.Usage("%q is not PARTITION/OFFSET, such as 0/17", id)
		}
	}
	return nil
}

// eachLetter calls f with every record that is in topic dead-letters now.
func eachLetter(ctx context.Context, a *app.App, f func(*kgo.Client, *kgo.Record) error) error {
	return eachRecord(ctx, a, a.Config.KafkaTopicPrefix+event.TopicDeadLetters, f)
}

// inflowBytes is how much of a topic is read at a time, as sent and decompressed.
const inflowBytes = 16 << 20

// eachRecord calls f with every record that is in a topic now. Records of one partition come in the
// order of their offsets.
func eachRecord(ctx context.Context, a *app.App, topic string, f func(*kgo.Client, *kgo.Record) error) error {
	inflow, err := kafka.NewInflow(inflowBytes)
	if err != nil {
		return err
	}
	client, err := a.KafkaClient(append(kafka.ProducerOptions(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(inflowBytes), kgo.WithDecompressor(inflow),
		kgo.KeepControlRecords())...) // the end of a transaction may be the last record
	if err != nil {
		return err
	}
	defer client.Close()
	if err := a.RequireKafka(ctx, client); err != nil {
		return err
	}
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	var ends kadm.ListedOffsets
	if err == nil {
		if ends, err = admin.ListCommittedOffsets(ctx, topic); err == nil {
			err = ends.Error()
		}
	}
	if err != nil {
		return fmt.Errorf("topic %s: %w", topic, withTopicsHint(kafka.Lacking(err, kafka.On(topic, rights.Read))))
	}
	left := map[int32]int64{} // partition → the offset to stop at
	from := map[int32]kgo.Offset{}
	var positions kafka.Positions
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, end.Partition)
		if start.Offset < end.Offset {
			left[end.Partition] = end.Offset
			from[end.Partition] = kgo.NewOffset().At(start.Offset)
			positions.Set(kafka.Partition{Topic: topic, ID: end.Partition}, start.Offset)
		}
	})
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		inflow.Polled(client.BufferedFetchBytes())
		oversize, err := kafka.Oversize(fetches)
		if err != nil {
			return fmt.Errorf("read topic %s: %w", topic, kafka.Lacking(err, kafka.On(topic, rights.Read)))
		}
		for _, r := range fetches.Records() {
			positions.Set(kafka.Partition{Topic: topic, ID: r.Partition}, r.Offset+1)
			end, open := left[r.Partition]
			if !open || r.Offset >= end {
				continue
			}
			if !r.Attrs.IsControl() {
				if err := f(client, r); err != nil {
					return err
				}
			}
			if r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		}
		for _, batch := range oversize {
			r, refusal := kafka.RefuseOversize(batch)
			a.Log.Warn("skipped", "record", kafka.Position(r), "detail", refusal.Rule)
			positions.Set(kafka.Partition{Topic: topic, ID: batch.Partition}, batch.NextOffset)
			if end, open := left[batch.Partition]; open && batch.NextOffset >= end {
				delete(left, batch.Partition)
			}
		}
		if len(oversize) > 0 {
			client.SetOffsets(positions.Offsets())
		}
	}
	return nil
}
