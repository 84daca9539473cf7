//! Documented fields of the answers in use, grouped by the shape of their values (contract 4.1,
//! 4.3, 4.9).

/// The fields of one call's rows.
#[derive(Debug)]
pub(super) struct Fields {
    /// Name of the call in metrics and messages.
    pub(super) call: &'static str,
    /// The field without which a row says nothing. A row is complete if this field is present and
    /// neither blank nor zero.
    pub(super) proof: &'static str,
    /// Whole numbers, and codes made of digits.
    pub(super) whole: &'static [&'static str],
    /// Numbers with a fraction.
    pub(super) decimal: &'static [&'static str],
    /// `Y` or `N`.
    pub(super) flag: &'static [&'static str],
    /// `YYYYMMDD`.
    pub(super) date: &'static [&'static str],
    /// Everything else.
    pub(super) text: &'static [&'static str],
    /// Fields of the above that are sent only in certain cases, or only recently.
    pub(super) conditional: &'static [&'static str],
}

/// Shape of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Whole,
    Decimal,
    Flag,
    Date,
    Text,
}

impl Fields {
    /// Returns every documented field with the shape of its value.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, Shape)> {
        [
            (self.whole, Shape::Whole),
            (self.decimal, Shape::Decimal),
            (self.flag, Shape::Flag),
            (self.date, Shape::Date),
            (self.text, Shape::Text),
        ]
        .into_iter()
        .flat_map(|(names, shape)| names.iter().map(move |name| (*name, shape)))
    }
}

/// The members around the rows (contract 1.5, 4.9).
pub(super) const ENVELOPE: Fields = Fields {
    call: "envelope",
    proof: "rt_cd",
    whole: &["rt_cd"],
    decimal: &[],
    flag: &[],
    date: &[],
    text: &["output", "msg_cd", "msg1", "ctx_area_nk", "ctx_area_fk"],
    conditional: &["ctx_area_nk", "ctx_area_fk"],
};

/// `intstock-multprice`.
pub(super) const MULTI: Fields = Fields {
    call: "multi",
    proof: "inter2_prpr",
    whole: &[
        "hour_cls_code",
        "inter_shrn_iscd",
        "inter2_prpr",
        "inter2_prdy_vrss",
        "prdy_vrss_sign",
        "acml_vol",
        "inter2_oprc",
        "inter2_hgpr",
        "inter2_lwpr",
        "inter2_llam",
        "inter2_mxpr",
        "inter2_askp",
        "inter2_bidp",
        "seln_rsqn",
        "shnu_rsqn",
        "total_askp_rsqn",
        "total_bidp_rsqn",
        "acml_tr_pbmn",
        "inter2_prdy_clpr",
        "intr_antc_cntg_vrss",
        "intr_antc_cntg_vrss_sign",
        "intr_antc_vol",
        "inter2_sdpr",
    ],
    decimal: &[
        "prdy_ctrt",
        "oprc_vrss_hgpr_rate",
        "intr_antc_cntg_prdy_ctrt",
    ],
    flag: &[],
    date: &[],
    text: &[
        "kospi_kosdaq_cls_name",
        "mrkt_trtm_cls_name",
        "inter_kor_isnm",
    ],
    conditional: &[],
};

/// `inquire-price`.
pub(super) const SINGLE: Fields = Fields {
    call: "single",
    proof: "stck_prpr",
    whole: &[
        "iscd_stat_cls_code",
        "grmn_rate_cls_code",
        "stck_prpr",
        "prdy_vrss",
        "prdy_vrss_sign",
        "acml_tr_pbmn",
        "acml_vol",
        "stck_oprc",
        "stck_hgpr",
        "stck_lwpr",
        "stck_mxpr",
        "stck_llam",
        "stck_sdpr",
        "frgn_ntby_qty",
        "pgtr_ntby_qty",
        "pvt_scnd_dmrs_prc",
        "pvt_frst_dmrs_prc",
        "pvt_pont_val",
        "pvt_frst_dmsp_prc",
        "pvt_scnd_dmsp_prc",
        "dmrs_val",
        "dmsp_val",
        "cpfn",
        "rstc_wdth_prc",
        "stck_fcam",
        "stck_sspr",
        "aspr_unit",
        "hts_deal_qty_unit_val",
        "lstn_stcn",
        "hts_avls",
        "stac_month",
        "d250_hgpr",
        "d250_lwpr",
        "stck_dryy_hgpr",
        "stck_dryy_lwpr",
        "w52_hgpr",
        "w52_lwpr",
        "stck_shrn_iscd",
        "frgn_hldn_qty",
        "last_ssts_cntg_qty",
        "mrkt_warn_cls_code",
    ],
    decimal: &[
        "marg_rate",
        "prdy_ctrt",
        "prdy_vrss_vol_rate",
        "wghn_avrg_stck_prc",
        "hts_frgn_ehrt",
        "per",
        "pbr",
        "vol_tnrt",
        "eps",
        "bps",
        "d250_hgpr_vrss_prpr_rate",
        "d250_lwpr_vrss_prpr_rate",
        "dryy_hgpr_vrss_prpr_rate",
        "dryy_lwpr_vrss_prpr_rate",
        "w52_hgpr_vrss_prpr_ctrt",
        "w52_lwpr_vrss_prpr_ctrt",
        "whol_loan_rmnd_rate",
        "apprch_rate",
    ],
    flag: &[
        "temp_stop_yn",
        "oprc_rang_cont_yn",
        "clpr_rang_cont_yn",
        "crdt_able_yn",
        "elw_pblc_yn",
        "ssts_yn",
        "vi_cls_code",
        "ovtm_vi_cls_code",
        "invt_caful_yn",
        "short_over_yn",
        "sltr_yn",
        "mang_issu_cls_code",
    ],
    date: &[
        "d250_hgpr_date",
        "d250_lwpr_date",
        "dryy_hgpr_date",
        "dryy_lwpr_date",
        "w52_hgpr_date",
        "w52_lwpr_date",
    ],
    text: &[
        "rprs_mrkt_kor_name",
        "new_hgpr_lwpr_cls_code",
        "bstp_kor_isnm",
        "fcam_cnnm",
        "cpfn_cnnm",
    ],
    conditional: &[
        // Documented and never sent.
        "apprch_rate",
        "new_hgpr_lwpr_cls_code",
        // Not sent for issues without a sector at the exchange.
        "bstp_kor_isnm",
        // Answers of 2023 and 2024 lack it.
        "mang_issu_cls_code",
    ],
};

/// `chk-holiday`.
pub(super) const HOLIDAYS: Fields = Fields {
    call: "holidays",
    proof: "bass_dt",
    whole: &["wday_dvsn_cd"],
    decimal: &[],
    flag: &["bzdy_yn", "tr_day_yn", "opnd_yn", "sttl_day_yn"],
    date: &["bass_dt"],
    text: &[],
    conditional: &[],
};
