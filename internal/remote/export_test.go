package remote

var (
	RetryAfter = retryAfter
	FreshFor   = freshFor
)

const (
	MaxWaiters    = maxWaiters
	MaxBackoff    = maxBackoff
	MaxRetryAfter = maxRetryAfter
	LeastFreshFor = leastFreshFor
)

// LoadFile reads a kept file without a Document.
func LoadFile(path, url string, maxBytes int64) (Copy, error) {
	k := keptFile{path: path, url: url, maxBytes: maxBytes}
	return k.load()
}
