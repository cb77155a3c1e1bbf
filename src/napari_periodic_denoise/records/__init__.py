"""Records of results: values, tables, words, reports and replay scripts."""
