package gatehouse

import "github.com/gatehouse-mcp/gatehouse/internal/reason"

// Reason names why a request was rejected, like "expired" or "wrong_audience". It appears
// in logs, in [Stats], in [Rejection], and as the member reason of the JSON body that the
// client gets. [Reasons] lists all reasons.
type Reason = reason.Reason

// ReasonInfo describes one [Reason]: the answer to the client, and advice for the operator.
type ReasonInfo struct {
	// Reason is sent as the member reason of the JSON body.
	Reason Reason
	// Status is the HTTP status of the answer.
	Status int
	// Code is sent as the member error of the JSON body, and as the parameter error of
	// the challenge if RFC 6750 section 3.1 defines it.
	Code string
	// Phrase is sent as error_description in the JSON body and in the challenge. It is
	// fixed, so it reveals nothing about the request. No two reasons share one.
	Phrase string
	// When says what happened, for the operator.
	When string
	// Do says what the operator should do. [Provider.Hints] may replace it.
	Do string
}

// Reasons returns the description of every reason, in the order of the checks of [Guard].
func Reasons() []ReasonInfo {
	var infos []ReasonInfo
	for _, info := range reason.All() {
		infos = append(infos, ReasonInfo(info))
	}
	return infos
}

// infoOf returns the description of r, which must be one of the constants of package
// reason.
func infoOf(r Reason) ReasonInfo {
	info, _ := reason.InfoOf(r)
	return ReasonInfo(info)
}
