// Package recipes has one function for each of the identity providers that docs/recipes.md
// describes, and that have no package of their own. Each returns the provider for
// serve.Config or gatehouse.Config. Copy the one that you need: it is meant to be changed.
package recipes
