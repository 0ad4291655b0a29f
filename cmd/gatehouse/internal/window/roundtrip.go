package window

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// maxChallengeBytes bounds the WWW-Authenticate headers of one response that are parsed.
const maxChallengeBytes = 16 << 10

// roundTrip is one request to the MCP server and its response.
type roundTrip struct {
	request      *http.Request
	token        bearerToken
	began        time.Time
	requestBody  bodyPrefix
	status       int // 0 without a response
	header       http.Header
	responseBody bodyPrefix
	finished     bool
}

// challenges returns the challenges of the response (RFC 9110 §11.6.1), with schemes and
// parameter names in lower case. It returns none if they are malformed or too long.
func (x *roundTrip) challenges() []oauthex.Challenge {
	lines := x.header.Values("WWW-Authenticate")
	if len(strings.Join(lines, "")) > maxChallengeBytes {
		return nil
	}
	challenges, err := oauthex.ParseWWWAuthenticate(lines)
	if err != nil {
		return nil
	}
	return challenges
}

// bearerChallenge returns the parameters of the response's Bearer challenge.
func (x *roundTrip) bearerChallenge() map[string]string {
	for _, c := range x.challenges() {
		if c.Scheme == "bearer" {
			return c.Params
		}
	}
	return nil
}

// bodyPrefix keeps the first maxBody bytes that are written to it. It is safe for
// concurrent use, because a request body may still be read after its response.
type bodyPrefix struct {
	mu    sync.Mutex
	bytes []byte
	size  int // of all that was written
}

func (b *bodyPrefix) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes = append(b.bytes, p[:min(len(p), maxBody-len(b.bytes))]...)
	b.size += len(p)
	return len(p), nil
}

// read returns the first bytes of the body, and whether there were more.
func (b *bodyPrefix) read() (body []byte, cut bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.bytes), b.size > len(b.bytes)
}

// wellKnownPath begins the paths of metadata (RFC 8615).
const wellKnownPath = "/.well-known/"

// responseRecorder records a response while it passes it on without delay.
type responseRecorder struct {
	http.ResponseWriter
	roundTrip    *roundTrip
	streamOpened func() // called when the response is a stream, which may never end
}

func (w *responseRecorder) WriteHeader(status int) {
	if status >= http.StatusOK && w.roundTrip.status == 0 {
		w.roundTrip.status = status
		w.roundTrip.header = w.Header().Clone()
	}
	w.ResponseWriter.WriteHeader(status)
	if w.roundTrip.request.Method == http.MethodGet && isEventStream(w.Header()) && status == http.StatusOK {
		w.streamOpened()
	}
}

func (w *responseRecorder) Write(p []byte) (int, error) {
	if w.roundTrip.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.roundTrip.finished {
		w.roundTrip.responseBody.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// FlushError is what [http.ResponseController.Flush] calls. It does nothing for a response that
// lets a client go on with its sign-in: net/http sends that when the handler returns, which is
// after its step was recorded. If it were sent before, the client's next request could be
// recorded first, and the run of the sign-in would be cut in two.
func (w *responseRecorder) FlushError() error {
	if w.roundTrip.status >= http.StatusBadRequest || strings.HasPrefix(w.roundTrip.request.URL.Path, wellKnownPath) {
		return nil
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap gives [http.ResponseController] access to deadlines and hijacking.
func (w *responseRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// isHTML reports whether the response is a web page, whatever its type says.
func (x *roundTrip) isHTML() bool {
	body, _ := x.responseBody.read()
	text := strings.ToLower(strings.TrimSpace(string(body[:min(len(body), 512)])))
	return strings.HasPrefix(x.header.Get("Content-Type"), "text/html") ||
		strings.HasPrefix(text, "<!doctype html") || strings.HasPrefix(text, "<html")
}

func isEventStream(h http.Header) bool {
	return strings.HasPrefix(h.Get("Content-Type"), "text/event-stream")
}
