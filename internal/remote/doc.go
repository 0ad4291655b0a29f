// Package remote keeps one JSON document of an issuer fresh: its key set, or
// its metadata.
//
// A [Document] fetches on first use, refreshes itself before its copy ages, and
// serves the last valid copy while the issuer is unavailable. However many callers
// wait there is one fetch, and fetches begin at least [Config.MinInterval]
// apart, so that no one can make this process flood the issuer with requests.
// Everything read from the network is bounded in size, time and redirects. Plain http
// is for loopback hosts only, and never leaves this machine: see [Transport].
package remote
