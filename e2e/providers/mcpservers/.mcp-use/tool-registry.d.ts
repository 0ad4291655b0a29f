// Auto-generated tool registry types - DO NOT EDIT MANUALLY
// This file is regenerated whenever tools are added, removed, or updated during development
// Generated at: 2026-11-26T07:09:19.283Z

declare module "mcp-use/react" {
  interface ToolRegistry {
    "whoami": {
      input: null;
      output: Record<string, unknown>;
    };
  }
}

export {};
