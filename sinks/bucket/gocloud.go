package bucket

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob"
)

// objects reads the stores that gocloud opens. gocloud's driver for S3 renames some keys that are
// valid here: a/x../b, and keys with __0x2f__. The hooks restore the true key, so that an object is
// at the address of its URL.
type objects struct {
	bucket *blob.Bucket
	prefix string // of every key: empty, or with a slash at its end
}

func (o objects) open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, int64, error) {
	key = o.prefix + key
	r, err := o.bucket.NewRangeReader(ctx, key, offset, length, &blob.ReaderOptions{
		BeforeRead: func(as func(any) bool) error {
			var in *s3.GetObjectInput
			if as(&in) {
				in.Key = &key
			}
			return nil
		},
	})
	if err != nil {
		return nil, 0, err
	}
	return r, r.Size(), nil
}

func (o objects) list(ctx context.Context, prefix string) ([]Object, error) {
	prefix = o.prefix + prefix
	entries := o.bucket.List(&blob.ListOptions{
		Prefix: prefix,
		BeforeList: func(as func(any) bool) error {
			var in *s3.ListObjectsV2Input
			if as(&in) {
				in.Prefix = &prefix
			}
			return nil
		},
	})
	var objects []Object
	for {
		entry, err := entries.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		key := entry.Key
		var raw types.Object
		if entry.As(&raw) {
			key = aws.ToString(raw.Key)
		}
		key = strings.TrimPrefix(key, o.prefix)
		if keyRule(key) != "" {
			continue // another program created it: the key is not valid here
		}
		objects = append(objects, Object{Key: key, Size: entry.Size, ModTime: entry.ModTime})
	}
	// The directory buckets of S3 are listed in no order.
	slices.SortFunc(objects, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
	return objects, nil
}

func (o objects) close() error { return o.bucket.Close() }
