"""Records in other people's formats: OpenLineage, W3C PROV, RO-Crate. One module each, the only one that loads that standard's library."""
