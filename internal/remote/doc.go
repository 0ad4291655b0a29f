// Package remote keeps one JSON document of an issuer fresh: its key set, or
// its metadata.
//
// A [Document] fetches on first use, refreshes itself before its copy ages, and
// serves the last good copy while the issuer is away. However many callers
// wait there is one fetch, and fetches begin at least [Config.MinInterval]
// apart, so that nobody can make this process hammer the issuer. Everything
// read from the network is bounded in size, time and redirects.
package remote
