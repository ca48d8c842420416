package bucket

import (
	"bytes"
	"context"
	"crypto/rand"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// partSize is the size of a part in bytes, and the most that a writer holds in memory: eight
// writers take 64 MiB. An object has at most 10,000 parts, so 78 GiB. S3 requires at least 5 MiB.
const partSize = 8 << 20

// abortTimeout bounds the removal of an upload. The context of the upload may be cancelled already.
const abortTimeout = 30 * time.Second

// s3Upload is an upload. If more than a part is written, it sends parts of partSize one by one.
// Otherwise commit sends a single PutObject.
type s3Upload struct {
	ctx     context.Context
	store   *s3Store
	key     string
	attempt string
	part    []byte  // not sent yet
	id      *string // of the multipart upload; nil before the first part is sent
	parts   []types.CompletedPart
	done    bool
}

func (s *s3Store) newUpload(ctx context.Context, key string) (upload, error) {
	return &s3Upload{ctx: ctx, store: s, key: key, attempt: rand.Text()}, ctx.Err()
}

func (u *s3Upload) Write(p []byte) (n int, err error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	for len(p) > 0 {
		if len(u.part) == partSize {
			if err := u.sendPart(); err != nil {
				return n, err
			}
		}
		k := min(len(p), partSize-len(u.part))
		u.grow(len(u.part) + k)
		u.part = append(u.part, p[:k]...)
		p, n = p[k:], n+k
	}
	return n, nil
}

// grow makes room for size bytes. Unlike append, it never allocates more than a part.
func (u *s3Upload) grow(size int) {
	if size > cap(u.part) {
		grown := make([]byte, len(u.part), min(max(size, 2*cap(u.part)), partSize))
		copy(grown, u.part)
		u.part = grown
	}
}

func (u *s3Upload) sendPart() error {
	s := u.store
	if u.id == nil {
		out, err := s.client.CreateMultipartUpload(u.ctx, &s3.CreateMultipartUploadInput{
			Bucket: &s.cfg.bucket, Key: s.key(u.key), ContentType: aws.String(contentType),
			Metadata: map[string]string{attemptKey: u.attempt},
			// The checksum covers the whole object and not the checksums of the parts, so that a
			// reader can check it.
			ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, ChecksumType: types.ChecksumTypeFullObject,
		})
		if err != nil {
			return s.explain(err)
		}
		u.id = out.UploadId
	}
	number := aws.Int32(int32(len(u.parts) + 1))
	sum := checksum(u.part)
	out, err := s.client.UploadPart(u.ctx, &s3.UploadPartInput{
		Bucket: &s.cfg.bucket, Key: s.key(u.key), UploadId: u.id, PartNumber: number,
		Body: bytes.NewReader(u.part), ContentLength: aws.Int64(int64(len(u.part))), ChecksumCRC32: sum,
	})
	if err != nil {
		return s.explain(err)
	}
	u.parts = append(u.parts, types.CompletedPart{PartNumber: number, ETag: out.ETag, ChecksumCRC32: sum})
	u.part = u.part[:0]
	return nil
}

func (u *s3Upload) commit() error {
	defer u.abort()
	if err := u.ctx.Err(); err != nil {
		return err
	}
	if u.id == nil {
		return u.store.create(u.ctx, u.key, u.part)
	}
	if len(u.part) > 0 {
		if err := u.sendPart(); err != nil {
			return err
		}
	}
	_, err := u.store.client.CompleteMultipartUpload(u.ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.store.cfg.bucket, Key: u.store.key(u.key), UploadId: u.id, IfNoneMatch: aws.String("*"),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
	err = u.store.created(u.ctx, u.key, u.attempt, err)
	if err == nil {
		u.id = nil // nothing to abort
	}
	return err
}

// abort removes the parts. Parts that it cannot remove, and those of a killed process, cost money
// until a lifecycle rule of the bucket removes them, see the package comment.
func (u *s3Upload) abort() {
	if u.done {
		return
	}
	u.done = true
	u.part = nil
	if u.id == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.ctx), abortTimeout)
	defer cancel()
	_, _ = u.store.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &u.store.cfg.bucket, Key: u.store.key(u.key), UploadId: u.id,
	})
}
