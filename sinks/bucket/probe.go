package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/google/uuid"
)

// startRounds is how often writers race for a key in Probe, and racers how many they are. A store that lets
// several multipart uploads of a key win (SeaweedFS 4.48 did for 61 of 150 keys) passes with a chance
// of 1 in 100.
const startRounds, racers = 8, 4

// Probe checks that the store keeps the promise of Create: it creates a key twice, and the second
// time must fail; and lets several writers create a key at once, in one request and in parts, of which
// one must win. It deletes the keys again.
func (b *Bucket) Probe(ctx context.Context) error { return b.ProbeRounds(ctx, startRounds) }

// ProbeRounds is Probe with a number of races.
func (b *Bucket) ProbeRounds(ctx context.Context, rounds int) error {
	if err := b.probeTwice(ctx); err != nil {
		return fmt.Errorf("probe the object store: %w", err)
	}
	for _, race := range []struct {
		what    string
		prepare prepare
	}{{"the same key", b.prepareCreate}, {"the same key with multipart uploads", b.prepareParts}} {
		for range rounds {
			winners, err := b.race(ctx, race.prepare)
			if err != nil {
				return fmt.Errorf("probe the object store: create %s at once: %w", race.what, err)
			}
			if winners != 1 {
				return fmt.Errorf("probe the object store: %d of %d writers created %s at once, so exports could overwrite each "+
					"other: use a store that honours the condition that the key must not exist, also in a race (S3: If-None-Match)",
					winners, racers, race.what)
			}
		}
	}
	return nil
}

func (b *Bucket) probeTwice(ctx context.Context) error {
	key := "probe-" + uuid.NewString()
	defer func() { _ = b.Delete(context.WithoutCancel(ctx), key) }()
	first := []byte("first")
	if err := b.Create(ctx, key, first); err != nil {
		return err
	}
	switch err := b.Create(ctx, key, []byte("second")); {
	case err == nil:
		return errors.New("it created the same key twice, so exports could overwrite each other: " +
			"use a store that honours the condition that the key must not exist (S3: If-None-Match; a local disk: link)")
	case !errors.Is(err, ErrExists):
		return err
	}
	switch body, err := b.Read(ctx, key); {
	case err != nil:
		return err
	case !bytes.Equal(body, first):
		return errors.New("it refused to create a key twice, but it changed the object: use another store")
	}
	return nil
}

// prepare does what can be done before an object is created. It returns the function that creates it, and
// one that gives it up.
type prepare func(ctx context.Context, key string, body []byte) (create func() error, abort func(), err error)

// race lets writers create a key at once, and returns how many succeeded. Others must get ErrExists.
func (b *Bucket) race(ctx context.Context, prepare prepare) (winners int, err error) {
	key := "probe-" + uuid.NewString()
	defer func() { _ = b.Delete(context.WithoutCancel(ctx), key) }()
	var results [racers]error
	var ended sync.WaitGroup
	begin := make(chan struct{})
	for i := range racers {
		create, abort, err := prepare(ctx, key, fmt.Appendf(nil, "racer %d", i))
		if err != nil {
			close(begin)
			ended.Wait()
			return 0, err
		}
		defer abort()
		ended.Go(func() {
			<-begin
			results[i] = create()
		})
	}
	close(begin)
	ended.Wait()
	for _, err := range results {
		switch {
		case err == nil:
			winners++
		case !errors.Is(err, ErrExists):
			return 0, err
		}
	}
	return winners, nil
}

// partSender is an upload that can send what was written as a part of its own.
type partSender interface{ sendPart() error }

func (b *Bucket) prepareCreate(ctx context.Context, key string, body []byte) (create func() error, abort func(),
	err error) {
	return func() error { return b.Create(ctx, key, body) }, func() {}, nil
}

// prepareParts writes an object as a writer of a large one does, in parts, where the store has them.
func (b *Bucket) prepareParts(ctx context.Context, key string, body []byte) (create func() error, abort func(),
	err error) {
	w, err := b.NewWriter(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	_, err = w.Write(body)
	if sender, ok := w.upload.(partSender); ok && err == nil {
		err = sender.sendPart()
	}
	if err != nil {
		w.Abort()
		return nil, nil, err
	}
	return w.Commit, w.Abort, nil
}
