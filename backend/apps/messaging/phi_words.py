"""Lists the words that tell why somebody is a patient, who they are or what they owe; a text may hold none of them.

In English and Spanish, in small letters without accents; a word that ends in * stands for all that begin so.
"""

from __future__ import annotations

VISITS = """
consultation* consulta consultas follow-up followup seguimiento procedure* procedimiento* lab-work lab-test* blood-test*
blood-work blood-draw* prueba-de-sangre pruebas-de-sangre laborator* analisis vaccin* vacun* immuniz* inmuniz*
telemedic* telehealth telesalud video-visit screening* checkup check-up physical-exam* annual-physical* yearly-physical*
revision-medica x-ray xray ct-scan mri ultrasound* ecograf* radiograf* resonancia mammogra* mamogra* colonosc* endosc*
biops* surger* surgic* surgeon* cirug* cirujan* quirurg* infusion* transfus* injection* inyecci* dialys* dialis* chemo*
quimio* flu-shot* pap-smear* pap-test* papanicola* sonogram* ekg ecg electrocard* radiation* radioter* transplant*
trasplant* physiother* fisioter* sleep-study
"""
SPECIALTIES = """
oncolog* psychiatr* psiquiatr* psycholog* psicolog* psych *therap* *terapi* dentist* counsel* behavioral-health
mental-health salud-mental addict* adicci* rehab* detox* methadon* metadona suboxone ob-gyn* ob/gyn* memory-clinic*
obstetr* gynecol* gynaecol* ginecol* prenatal maternity maternidad fertil* ivf abortion* aborto* urolog* cardiolog*
dermatolog* endocrin* gastroent* hematolog* haematolog* nephrolog* nefrolog* neurolog* neurosurg* ophthalm* oftalm*
orthop* ortop* pediatr* paediatr* pulmonol* neumolog* rheumat* reumat* radiolog* infectolog* infectious infecciosas
geriatr* hospice palliat* paliativ* pain-clinic dolor-cronico bariatr* podiatr* podolog* sexual-health salud-sexual
"""
ILLNESSES = """
diagnos* prognos* pronostico disease* enfermedad* illness* disorder* trastorno* symptom* sintoma* condition* cancer*
tumor* tumour* leukemi* leucemi* lymphoma* linfoma* hiv vih aids sida std sti ets syphil* sifilis gonorr* chlamyd*
clamid* herpes hepatit* tubercul* covid* influenza gripe diabet* insulin* hypertens* hipertens* asthma* asma copd epoc
epilep* dementia demencia alzheimer* parkinson* depress* depresi* anxiety ansiedad bipolar* schizo* esquizo* autis*
adhd tdah ptsd suicid* pregnan* embaraz* contracept* anticoncep* overdos* sobredosis opioid* opioide* alcohol*
treatment* tratamiento* medication* medicament* medicine* medicina* prescri* receta* dose* dosis
test-result* lab-result* results resultado* fasting ayunas
"""
IDENTITY = """
date-of-birth birth-date birthdate birthday dob fecha-de-nacimiento nacimiento cumpleanos mrn medical-record*
record-number expediente historia-clinica ssn social-security seguro-social passport pasaporte member-id
"""
MONEY = """
bill bills billing billed invoice* factura* payment* pay paid pago pagos pagar copay* co-pay copago* balance saldo debt*
deuda* owe owed debe collections cobro* cobranza deductible* deducible fee fees price* precio* cost costs discount*
descuento* sale sales promo* coupon* cupon* gratis for-free free-of-charge special-offer oferta* buy compre loan*
prestamo* gift* regalo* win winner prize* premio* sponsor* patrocin* refer-a-friend
"""
SHORTENERS = (
    "bit.ly", "tinyurl.com", "goo.gl", "t.co", "ow.ly", "is.gd", "buff.ly", "rebrand.ly", "cutt.ly", "rb.gy", "t.ly",
    "shorturl.at", "tiny.cc", "bl.ink", "s.id", "v.gd", "lnkd.in", "short.io", "tny.im", "soo.gd", "trib.al", "dub.sh",
)  # fmt: skip
