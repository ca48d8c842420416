package bucket

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	gcaws "gocloud.dev/aws"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
	"golang.org/x/sync/errgroup"
)

const (
	// attemptKey is the metadata that names the attempt that created an object. If the answer to a
	// writer was lost, the writer recognises its own object.
	attemptKey = "millrace-attempt"
	// contentType is the content type of every object; the key says what an object is.
	contentType = "application/octet-stream"
	// openTimeout bounds the search for credentials, which may come from another service.
	openTimeout = 15 * time.Second
)

// s3Store is a store with the API of S3. gocloud opens, reads and lists it. Writing uses the client
// of the SDK. gocloud's writer does send If-None-Match, also with CompleteMultipartUpload. But it
// takes 8 MiB or more for an object of any size, and it does not distinguish a lost answer from a
// lost race.
type s3Store struct {
	objects
	cfg    s3Config
	client *s3.Client
	region string
}

func openS3(ctx context.Context, cfg s3Config) (*s3Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	sdk, err := gcaws.V2ConfigFromURLParams(ctx, cfg.sdk)
	if err != nil {
		return nil, err
	}
	if cfg.credentials != nil {
		sdk.Credentials = cfg.credentials
	}
	if sdk.Region == "" {
		if cfg.endpoint == "" {
			return nil, errors.New("the region of the bucket is not known: add region= to the URL, or set AWS_REGION")
		}
		sdk.Region = "us-east-1" // signatures need a region, and other stores do not check it
	}
	if !aws.IsCredentialsProvider(sdk.Credentials, aws.AnonymousCredentials{}) {
		if _, err := sdk.Credentials.Retrieve(ctx); err != nil {
			return nil, fmt.Errorf("there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "+
				"or add profile=, role= or anonymous=true to the URL: %w", err)
		}
	}
	client := s3.NewFromConfig(sdk, func(o *s3.Options) {
		o.UsePathStyle = cfg.pathStyle
		if cfg.endpoint != "" {
			o.BaseEndpoint = &cfg.endpoint
		}
		o.HTTPClient = newHTTPClient(sdk.HTTPClient, cfg.silence)
		o.Retryer = newRetryer(cfg)
		o.DisableLogOutputChecksumValidationSkipped = true // a range has no checksum
	})
	bucket, err := s3blob.OpenBucket(ctx, client, cfg.bucket, nil)
	if err != nil {
		return nil, err
	}
	return &s3Store{objects{bucket, cfg.prefix}, cfg, client, sdk.Region}, nil
}

// newRetryer returns a retryer that repeats a request after a failure of the network, throttling
// (SlowDown), an error of the server, or a conflict with another request for the same key. Every
// request may be repeated. If a repeated request finds the object that the first one created,
// created recognises it.
func newRetryer(cfg s3Config) aws.Retryer {
	standard := retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = cfg.attempts
		o.MaxBackoff = cfg.maxBackoff
		o.RateLimiter = ratelimit.None // otherwise a bad minute would use up the retries of the next one
	})
	return retry.AddWithErrorCodes(standard, "ConditionalRequestConflict", "OperationAborted")
}

// create sends one PutObject. S3 acknowledges it when the object is durable.
func (s *s3Store) create(ctx context.Context, key string, body []byte) error {
	attempt := rand.Text()
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.cfg.bucket, Key: s.key(key), ContentType: aws.String(contentType),
		Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))), ChecksumCRC32: checksum(body),
		IfNoneMatch: aws.String("*"), Metadata: map[string]string{attemptKey: attempt},
	})
	return s.created(ctx, key, attempt, err)
}

// created turns the error of a request that creates an object into the result of [Bucket.Create]. A
// conflict may be with the same attempt: its answer was lost, and the SDK repeated the request. If
// no answer came at all, the object may exist: some servers refuse a large body with an answer that
// the sender does not see.
func (s *s3Store) created(ctx context.Context, key, attempt string, err error) error {
	if err == nil {
		return nil
	}
	attempts := s.cfg.attempts
	if httpStatus(err) == 0 {
		attempts = 1 // the server was silent for all attempts
	} else if !isConflict(err) {
		return s.explain(err)
	}
	there, headErr := s.head(ctx, key, func(o *s3.Options) { o.RetryMaxAttempts = attempts })
	switch {
	case headErr != nil:
		return s.explain(err) // the error has another cause, or the object was deleted in the meantime
	case there.Metadata[attemptKey] == attempt:
		return nil
	}
	return ErrExists
}

func (s *s3Store) head(ctx context.Context, key string, options ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.cfg.bucket, Key: s.key(key)}, options...)
	return out, s.explain(err)
}

// sync checks that the objects exist. S3 has acknowledged them, so they are durable.
func (s *s3Store) sync(ctx context.Context, keys []string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(syncsAtOnce)
	for _, key := range keys {
		group.Go(func() error {
			_, err := s.head(ctx, key)
			return err
		})
	}
	return group.Wait()
}

func (s *s3Store) open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, int64, error) {
	if length != 0 {
		r, size, err := s.objects.open(ctx, key, offset, length)
		if err == nil || httpStatus(err) != http.StatusRequestedRangeNotSatisfiable {
			return r, size, s.explain(err)
		}
	}
	// S3 has no empty ranges. (gocloud reads a byte instead, and does not close the answer.)
	there, err := s.head(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	return http.NoBody, aws.ToInt64(there.ContentLength), nil
}

func (s *s3Store) list(ctx context.Context, prefix string) ([]Object, error) {
	objects, err := s.objects.list(ctx, prefix)
	return objects, s.explain(err)
}

// check lists one object, which needs no right that exports do not need.
func (s *s3Store) check(ctx context.Context) error {
	_, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &s.cfg.bucket, Prefix: &s.prefix, MaxKeys: aws.Int32(1),
	})
	return s.explain(err)
}

func (s *s3Store) delete(ctx context.Context, key string) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.cfg.bucket, Key: s.key(key)})
	if err = s.explain(err); errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

func (s *s3Store) signedURL(ctx context.Context, key string, expiry time.Duration) (string, error) {
	key = s.prefix + key
	signed, err := s.bucket.SignedURL(ctx, key, &blob.SignedURLOptions{
		Expiry: expiry, Method: http.MethodGet,
		BeforeSign: func(as func(any) bool) error {
			var in *s3.GetObjectInput
			if as(&in) {
				in.Key = &key
			}
			return nil
		},
	})
	return signed, s.explain(err)
}

func (s *s3Store) url(key string) string { return "s3://" + s.cfg.bucket + "/" + s.prefix + key }

func (s *s3Store) key(key string) *string { return aws.String(s.prefix + key) }

// checksum returns the CRC-32 of a body in the form that S3 wants. S3 refuses a body that was
// damaged on the way. The checksum is computed before the request, because not every S3-compatible
// store reads the trailer of the SDK.
func checksum(body []byte) *string {
	return aws.String(base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body))))
}
