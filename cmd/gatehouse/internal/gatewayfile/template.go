package gatewayfile

// Template is an example of a file.
const Template = `# yaml-language-server: $schema=https://raw.githubusercontent.com/gatehouse-mcp/gatehouse/main/docs/gateway.schema.json
#
# Configuration of "gatehouse gateway --config FILE".
# Edit this file while the gateway runs: changes apply within two seconds, and open streams stay
# open. "${NAME}" is a variable of the environment or of .env. A secret can also be in a file of
# its own: session_key_file, client_secret_file.

listen: localhost:3000
# To serve https; the files are read again when they change.
# tls_cert_file: cert.pem
# tls_key_file: key.pem

# Where users sign in: a name whose settings are read from the environment, or a name with its
# settings. An endpoint can have a provider of its own.
provider:
  name: oidc
  issuer: https://issuer.example.com
  scopes_supported: [notes:read]

# The same in all replicas; without it, the keys are random for each process.
# session_key: "${MCP_SESSION_KEY}"
# accepted_session_keys: ["${OTHER_SESSION_KEY}"] # to replace session_key without ending sessions
# assertion_key_file: assertion.pem

# A port for those who run the gateway: /metrics, /readyz with the state of each endpoint.
# With a key, "gatehouse revoke" on this machine shuts users out of this gateway.
# operator: {listen: localhost:9090, revoke_key_file: revoke-key}

# Where gateways share revocations: "gatehouse revoke" shuts a user out of all of them.
# revocations: {redis_url_file: redis-url}

# Invalid tokens of one address, and requests of one caller; more get 429. Behind a proxy, name its
# address, so that each of its clients has a limit of its own.
# limits:
#   failed_sign_ins_per_minute: 600
#   requests_per_minute: 300
#   trusted_proxies: [10.0.0.7]

endpoints:
  - url: http://localhost:3000/mcp      # as users type it into their client
    upstream: http://localhost:8000/mcp # the MCP server
    # Several servers; a session stays with the one that opened it.
    # upstreams:
    #   - http://localhost:8000/mcp
    #   - {url: http://localhost:8001/mcp, health_path: /healthz}
    #   - {url: https://notes.internal/mcp, ca_file: ca.pem}

    # What a caller needs. Names that the server does not list are logged.
    requirements:
      - tool: [write_note, delete_note]
        scopes: [notes:write]
      - resource_template: notes://{name}
        scopes: [notes:read]
    # Reject every tool, prompt and resource that is not named above.
    # deny_undeclared: true

    # The headers that say who is calling; "" turns one off.
    headers:
      user: X-Forwarded-User
      email: X-Forwarded-Email
      preferred_username: X-Forwarded-Preferred-Username
      groups: X-Forwarded-Groups
      assertion: X-Gatehouse-Assertion

    # max_body_bytes: 4194304
    # header_timeout: 60s
    # keep_alive: 20s  # a comment in silent event streams
`
