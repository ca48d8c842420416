package bucket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// dialTimeout is how long a connection may take.
const dialTimeout = 10 * time.Second

// newHTTPClient adds to the SDK's client, which waits for ever, that a connection fails which carries no byte
// for a while. So a request has as much time as its size and the line need, and a server that hangs has none.
func newHTTPClient(client aws.HTTPClient, silence time.Duration) aws.HTTPClient {
	buildable, ok := client.(*awshttp.BuildableClient) // it may know AWS_CA_BUNDLE
	if !ok {
		buildable = awshttp.NewBuildableClient()
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	// Frozen, since the SDK's modes would put their own dialer in.
	return buildable.WithTransportOptions(func(t *http.Transport) {
		t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &impatient{c, silence}, nil
		}
		t.MaxIdleConnsPerHost = 2 * syncsAtOnce
		t.IdleConnTimeout = silence * 2 / 3 // before it fails
	}).Freeze()
}

// impatient is a connection on which a read or write fails when neither was possible for a while. Each
// extends the time of the other: who sends for a minute reads nothing meanwhile. (The SDK's read timeout,
// which it does not use for S3, would end that upload.)
type impatient struct {
	net.Conn
	silence time.Duration
}

func (c *impatient) Read(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *impatient) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.silence)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// httpStatus is the status of the answer that an error came with, or 0.
func httpStatus(err error) int {
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// apiCode is S3's code of an error, or "".
func apiCode(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// isConflict says whether an error may mean that the key has an object: the condition failed; or other
// requests for the key were first, for as long as we asked; or the upload was completed before.
func isConflict(err error) bool {
	switch httpStatus(err) {
	case http.StatusPreconditionFailed, http.StatusConflict:
		return true
	}
	return apiCode(err) == "NoSuchUpload"
}

// explain returns ErrNotFound where an object is missing, and for the mistakes of a configuration, which the
// first request shows, what to change.
func (s *s3Store) explain(err error) error {
	status, code := httpStatus(err), apiCode(err)
	hint := ""
	var unsent *smithyhttp.RequestSendError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case code == "NoSuchBucket":
		hint = fmt.Sprintf("%s has no bucket %q: create it, or correct its name in MILLRACE_BUCKET_URL", s.where(), s.cfg.bucket)
	case status == http.StatusNotFound && (code == "NoSuchKey" || code == "NotFound"):
		return ErrNotFound
	case code == "InvalidAccessKeyId", code == "SignatureDoesNotMatch", code == "InvalidToken", code == "ExpiredToken",
		code == "XAdminUserNotFound" /* versitygw */, status == http.StatusUnauthorized:
		hint = s.where() + " refuses the credentials: correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile= or role= of MILLRACE_BUCKET_URL"
	case status == http.StatusForbidden:
		hint = fmt.Sprintf("the credentials do not allow this: it takes s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucket on bucket %q", s.cfg.bucket)
	case status == http.StatusMovedPermanently, status == http.StatusTemporaryRedirect, code == "AuthorizationHeaderMalformed":
		hint = fmt.Sprintf("bucket %q is not in region %s: correct region= in MILLRACE_BUCKET_URL", s.cfg.bucket, s.region)
	case status == http.StatusNotImplemented:
		hint = s.where() + " does not have conditional writes (If-None-Match): use a store that has them"
	case errors.As(err, &unsent):
		hint = "cannot reach " + s.where() + ": correct endpoint= in MILLRACE_BUCKET_URL, or the network"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}

func (s *s3Store) where() string {
	if s.cfg.endpoint != "" {
		return s.cfg.endpoint
	}
	return "S3 in region " + s.region
}
